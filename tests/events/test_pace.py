"""The pace of handlers: the slower they are, the fewer share a transaction."""

import time

import pytest
from sqlalchemy.orm import Session

from events import Database, pace
from events.dispatch import dispatch
from tests.events.sample import Noted, mark, marks, new_subscription, note, send


def test_the_first_batch_is_as_large_as_it_may_be() -> None:
    assert pace.batch_size("notes.mark", 50) == 50


@pytest.mark.parametrize(
    ("seconds", "size"),  # of one delivery, and of the next transaction
    [(0.0001, 50), (0.004, 25), (0.01, 10), (0.09, 1), (30.0, 1)],
)
def test_a_batch_takes_a_tenth_of_a_second_or_one_delivery(seconds: float, size: int) -> None:
    pace.learn("notes.mark", 10, 10 * seconds * 0.999)

    assert pace.batch_size("notes.mark", 50) == size
    assert pace.batch_size("others.mark", 50) == 50


def test_after_a_slow_delivery_batches_grow_again() -> None:
    pace.learn("notes.mark", 1, 3.0)
    sizes = []
    for _ in range(25):
        sizes.append(pace.batch_size("notes.mark", 50))
        pace.learn("notes.mark", sizes[-1], 0.0005 * sizes[-1])

    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, 50)


def test_slow_handlers_share_no_transaction_after_the_first_batch(any_database: Database) -> None:
    committed: list[int] = []

    def handler(event: Noted, session: Session) -> None:
        committed.append(marks().total())
        time.sleep(0.06)
        mark(event, session)

    subscription = new_subscription(handler, batch=4)
    ids = note(*"abcdefg")
    send(subscription)
    dispatch(subscription, ids, worker="w")

    assert committed == [0, 0, 0, 0, 4, 5, 6]
