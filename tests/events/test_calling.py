"""Handlers that call the world: before the transaction, with a key that never changes."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from events import Database, DeadLetter, reading, transaction
from events.admin import dead_letters
from events.dispatch import dispatch
from events.retry import Retry
from events.tables import OPEN
from events.testing import Bus
from tests.events.sample import (
    PATIENT,
    Mark,
    Noted,
    deliveries,
    delivery,
    hearing,
    marks,
    note,
    send,
)


def record(event: Noted, session: Session, answer: str) -> None:
    session.add(Mark(what=answer))


class World:
    """Something outside that is called and fails as often as it is told to."""

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
    world = World(failures=PATIENT.attempts)
    with Bus(subscriptions=[hearing(record, call=world)], fail_fast=False) as bus:
        [id] = note("a")
        for _ in range(4):
            bus.advance(60)
        assert delivery().state == "dead"
        with transaction() as session:
            dead_letters.replay(session, who="ada", everything=True)
        bus.drain()

    assert (delivery().state, marks()) == ("done", {"answer to a": 1})
    assert world.keys == [f"{id}:notes.mark"] * (PATIENT.attempts + 1)


def test_two_subscriptions_have_two_keys_for_one_event(any_database: Database) -> None:
    one, other = World(), World()
    with Bus(
        subscriptions=[hearing(record, call=one), hearing(record, call=other, name="others.mark")]
    ) as bus:
        note("a")
        bus.drain()

    assert len({*one.keys, *other.keys}) == 2


def test_nobody_waits_for_the_database_while_the_world_is_called(any_database: Database) -> None:
    def call(event: Noted, key: str) -> str:
        with (
            transaction() as session
        ):  # would wait half a minute and fail if the caller held SQLite's write lock
            session.add(Mark(what="written by somebody else"))
        with reading() as session:
            return f"{len(session.new)} new, delivery {delivery().state}"

    with Bus(subscriptions=[hearing(record, call=call)]) as bus:
        note("a")
        bus.drain()

    assert marks() == {"written by somebody else": 1, "0 new, delivery pending": 1}


def test_an_answer_that_cannot_be_recorded_is_asked_for_again_with_the_same_key(
    any_database: Database,
) -> None:
    world, full = World(), [True]

    def refuse_once(event: Noted, session: Session, answer: str) -> None:
        record(event, session, answer)
        if full:
            raise ValueError(f"no room {full.pop()}")

    with Bus(subscriptions=[hearing(refuse_once, call=world)], fail_fast=False) as bus:
        note("a")
        bus.advance(60)
        bus.advance(60)

    assert (len(world.keys), len(set(world.keys)), marks()) == (2, 1, {"answer to a": 1})


def test_a_delivery_that_is_done_is_not_called_for_again(any_database: Database) -> None:
    world = World()
    subscription = hearing(record, call=world)
    note("a")
    [message] = send(subscription)
    for _ in range(3):
        dispatch(subscription, message.event_ids, worker="w")

    assert len(world.keys) == 1


def test_a_no_of_the_world_that_no_retry_can_change_is_dead_at_once(any_database: Database) -> None:
    world = World(failures=9, error=lambda: DeadLetter("card expired"))
    with Bus(subscriptions=[hearing(record, call=world)], fail_fast=False) as bus:
        note("a")
        bus.advance(600)

    assert (len(world.keys), delivery().state) == (1, "dead")


@pytest.mark.parametrize("attempts", [1, 2])
def test_calls_of_one_message_fail_one_by_one(attempts: int, any_database: Database) -> None:
    def call(event: Noted, key: str) -> str:
        if event.text == "bad":
            raise ConnectionError("lost")
        return event.text

    subscription = hearing(record, call=call, retry=Retry(attempts=attempts))
    ids = note("a", "bad", "c")
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    assert (report.handled, report.retrying + report.dead) == (2, 1)
    assert marks() == {"a": 1, "c": 1}
    assert [row.state in OPEN for row in deliveries()] == [False, attempts == 2, False]
