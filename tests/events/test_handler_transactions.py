"""A handler that ends its worker's transaction has failed, and leaves nothing behind."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from events import Database, Subscription
from events.handlers import TransactionEnded
from events.testing import Bus
from tests.events.sample import (
    POLICY,
    Mark,
    Noted,
    Replied,
    deliveries,
    delivery,
    mark,
    marks,
    new_subscription,
    note,
)

Ending = Callable[[Session], object]
REFUSED = "TransactionEnded: a handler must not commit or roll back"


def insert_twice(session: Session) -> None:
    """Fail at the second of two rows with one key."""
    for _ in range(2):
        session.execute(insert(Mark).values(id=7, what="twice"))


def roll_back_what_failed(session: Session) -> None:
    with suppress(IntegrityError):
        insert_twice(session)
    session.rollback()


def ignore_a_failed_flush(session: Session) -> None:
    session.execute(insert(Mark).values(id=7, what="once"))
    session.add(Mark(id=7, what="again"))
    with suppress(IntegrityError):
        session.flush()


def ending_for_a(ending: Ending) -> Callable[[Noted, Session], Replied | None]:
    """Return a handler that replies, and ends the transaction of the note "a" without a reply."""

    def handler(event: Noted, session: Session) -> Replied | None:
        mark(event, session)
        if event.text != "a":
            return Replied(text=event.text)
        ending(session)
        return None

    return handler


def of_lists(handler: Callable[[Noted, Session], Replied | None]) -> Subscription:
    """Return a subscription whose handler takes the whole batch."""

    def handle(events: Sequence[Noted], session: Session) -> list[Any]:
        return [handler(each, session) or () for each in events]

    return replace(new_subscription(handle, batch=5), takes_batch=True)


def of_calls(handler: Callable[[Noted, Session], Replied | None]) -> Subscription:
    """Return a subscription whose handler records the answer of a call."""

    def record(event: Noted, session: Session, answer: str) -> Replied | None:
        return handler(event, session)

    return new_subscription(record, batch=5, call=lambda event, key: "an answer")


def replies(bus: Bus) -> list[str]:
    return [each.text for each in bus.published if isinstance(each, Replied)]


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(
    "ending",
    [
        Session.commit,
        Session.rollback,
        Session.close,
        roll_back_what_failed,
        ignore_a_failed_flush,
    ],
)
def test_a_handler_that_ends_its_transaction_has_failed_alone(
    ending: Ending, batch: int, any_database: Database
) -> None:
    only = new_subscription(ending_for_a(ending), batch=batch)
    with Bus(subscriptions=[only], fail_fast=False) as bus:
        note("a", "b")
        bus.drain()

        assert [each.state for each in deliveries()] == ["retrying", "done"]
        assert (marks(), replies(bus)) == ({"b": 1}, ["b"])
        for _ in range(5):
            bus.advance(60)

    dead, _ = deliveries()
    assert (dead.state, dead.attempts) == ("dead", POLICY.attempts)
    assert str(dead.error).startswith(REFUSED)
    assert marks() == {"b": 1}


@pytest.mark.parametrize("form", [of_lists, of_calls])
@pytest.mark.parametrize("ending", [Session.commit, Session.rollback])
def test_so_has_a_handler_of_batches_or_of_answers(
    ending: Ending, form: Callable[..., Subscription], any_database: Database
) -> None:
    with Bus(subscriptions=[form(ending_for_a(ending))], fail_fast=False) as bus:
        note("a", "b")
        bus.drain()

        assert (marks(), replies(bus)) == ({"b": 1}, ["b"])
    failed, done = deliveries()
    assert (failed.state, done.state) == ("retrying", "done")
    assert str(failed.error).startswith(REFUSED)


def test_postgresql_does_not_commit_after_an_error_that_the_handler_ignores(
    postgres_database: Database,
) -> None:
    def ignore(session: Session) -> None:
        with suppress(IntegrityError):
            insert_twice(session)

    with Bus(subscriptions=[new_subscription(ending_for_a(ignore))], fail_fast=False) as bus:
        note("a")
        bus.drain()

    assert (delivery().state, marks()) == ("retrying", {})
    assert str(delivery().error).startswith(REFUSED)


def test_what_fails_in_a_savepoint_is_undone_alone(any_database: Database) -> None:
    def handler(event: Noted, session: Session) -> Replied:
        mark(event, session)
        with session.begin_nested():
            session.add(Mark(what="kept"))
        with suppress(IntegrityError), session.begin_nested():
            insert_twice(session)
        return Replied(text=event.text)

    with Bus(subscriptions=[new_subscription(handler, batch=5)]) as bus:
        note("a", "b")
        bus.drain()

        assert sorted(replies(bus)) == ["a", "b"]
    assert marks() == {"a": 1, "b": 1, "kept": 2}


def test_a_handler_that_ignores_the_refusal_has_committed_nothing(any_database: Database) -> None:
    def handler(event: Noted, session: Session) -> Replied:
        mark(event, session)
        with suppress(TransactionEnded):
            session.commit()
        assert marks() == {}
        return Replied(text=event.text)

    with Bus(subscriptions=[new_subscription(handler)]) as bus:
        note("a")
        bus.drain()

        assert replies(bus) == ["a"]
    assert marks() == {"a": 1}
