"""Dispatch of a handler with an external call: before the transaction, with a constant key."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from events import Database, DeadLetter, reading, transaction
from events.admin import replays
from events.dispatch import Result, dispatch
from events.ledger import OPEN
from events.retry import Retry
from events.testing import Bus
from tests.events.sample import (
    POLICY,
    Mark,
    Noted,
    deliveries,
    delivery,
    marks,
    new_subscription,
    note,
    record,
    send,
)


class Gateway:
    """An external service that fails for the first calls."""

    def __init__(
        self, failures: int = 0, error: Callable[[], Exception] = lambda: ConnectionError("lost")
    ) -> None:
        self.failures, self.error = failures, error
        self.keys: list[str] = []

    def __call__(self, event: Noted, key: str) -> str:
        self.keys.append(key)
        if len(self.keys) <= self.failures:
            raise self.error()
        return f"answer to {event.text}"


def test_the_key_is_the_same_on_every_retry_and_replay(any_database: Database) -> None:
    gateway = Gateway(failures=POLICY.attempts)
    with Bus(subscriptions=[new_subscription(record, call=gateway)], fail_fast=False) as bus:
        [event_id] = note("a")
        for _ in range(4):
            bus.advance(60)
        assert delivery().state == "dead"
        with transaction() as session:
            replays.start(session, who="ada", why="test", everything=True)
        bus.drain()

    assert (delivery().state, marks()) == ("done", {"answer to a": 1})
    assert gateway.keys == [f"{event_id}:notes.mark"] * (POLICY.attempts + 1)


def test_two_subscriptions_have_different_keys_for_one_event(any_database: Database) -> None:
    one, other = Gateway(), Gateway()
    with Bus(
        subscriptions=[
            new_subscription(record, call=one),
            new_subscription(record, call=other, name="others.mark"),
        ]
    ) as bus:
        note("a")
        bus.drain()

    assert len({*one.keys, *other.keys}) == 2


def test_no_transaction_is_open_during_the_external_call(any_database: Database) -> None:
    def call(event: Noted, key: str) -> str:
        # This would wait half a minute and fail if the caller held the write lock of SQLite.
        with transaction() as session:
            session.add(Mark(what="written during the call"))
        with reading() as session:
            return f"{len(session.new)} new, delivery {delivery().state}"

    with Bus(subscriptions=[new_subscription(record, call=call)]) as bus:
        note("a")
        bus.drain()

    assert marks() == {"written during the call": 1, "0 new, delivery pending": 1}


def test_a_call_whose_answer_cannot_be_recorded_is_repeated_with_the_same_key(
    any_database: Database,
) -> None:
    gateway, first = Gateway(), [True]

    def refuse_once(event: Noted, session: Session, answer: str) -> None:
        record(event, session, answer)
        if first:
            raise ValueError(f"no room {first.pop()}")

    with Bus(subscriptions=[new_subscription(refuse_once, call=gateway)], fail_fast=False) as bus:
        note("a")
        bus.advance(60)
        bus.advance(60)

    assert (len(gateway.keys), len(set(gateway.keys)), marks()) == (2, 1, {"answer to a": 1})


def test_a_done_delivery_makes_no_further_call(any_database: Database) -> None:
    gateway = Gateway()
    subscription = new_subscription(record, call=gateway)
    note("a")
    [message] = send(subscription)
    for _ in range(3):
        dispatch(subscription, message.event_ids, worker="w")

    assert len(gateway.keys) == 1


def test_a_delivery_whose_call_raises_dead_letter_is_dead_at_once(any_database: Database) -> None:
    gateway = Gateway(failures=9, error=lambda: DeadLetter("card expired"))
    with Bus(subscriptions=[new_subscription(record, call=gateway)], fail_fast=False) as bus:
        note("a")
        bus.advance(600)

    assert (len(gateway.keys), delivery().state) == (1, "dead")


@pytest.mark.parametrize("attempts", [1, 2])
def test_calls_of_one_message_fail_one_by_one(attempts: int, any_database: Database) -> None:
    def call(event: Noted, key: str) -> str:
        if event.text == "bad":
            raise ConnectionError("lost")
        return event.text

    subscription = new_subscription(record, call=call, retry=Retry(attempts=attempts))
    ids = note("a", "bad", "c")
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    assert (
        report.count(Result.HANDLED),
        report.count(Result.RETRYING) + report.count(Result.DEAD),
    ) == (2, 1)
    assert marks() == {"a": 1, "c": 1}
    assert [row.state in OPEN for row in deliveries()] == [False, attempts == 2, False]
