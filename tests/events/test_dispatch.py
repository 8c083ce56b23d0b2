"""Dispatch: the claim, the effect and the events it causes commit together, or not at all."""

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Database, Event, publish, reading
from events.dispatch import Result, dispatch
from events.orm import insert_if_absent
from events.tables import LogEntry
from events.testing import Bus
from tests.events.sample import (
    Mark,
    Noted,
    Replied,
    deliveries,
    delivery,
    failed_attempts,
    mark,
    marks,
    new_subscription,
    note,
    send,
)


def fails_for(*texts: str) -> Callable[[Noted, Session], Replied]:
    """Return a handler that adds a mark first and then fails for these texts."""

    def handler(event: Noted, session: Session) -> Replied:
        mark(event, session)
        session.flush()
        publish(session, Replied(text=f"{event.text} too early"))
        if event.text in texts:
            raise ValueError(f"cannot handle {event.text}")
        return Replied(text=event.text)

    return handler


def log_of(kind: type[Event]) -> list[str]:
    """Return the text of each event of this type in the log."""
    with reading() as session:
        rows = session.scalars(
            select(LogEntry).where(LogEntry.type == kind.type).order_by(LogEntry.position)
        )
        return [row.data["text"] for row in rows]


def test_the_effect_the_claim_and_the_caused_events_commit_together(any_database: Database) -> None:
    subscription = new_subscription(fails_for())
    note("a")
    [message] = send(subscription)

    report = dispatch(subscription, message.event_ids, worker="w")

    assert str(report) == "handled"
    assert (delivery().state, marks(), log_of(Replied)) == ("done", {"a": 1}, ["a too early", "a"])


def test_a_handler_that_fails_after_its_claim_leaves_nothing_behind(any_database: Database) -> None:
    subscription = new_subscription(fails_for("a"))
    note("a")
    [message] = send(subscription)

    report = dispatch(subscription, message.event_ids, worker="w")

    assert report.count(Result.RETRYING) == 1
    assert (delivery().state, delivery().attempts, delivery().done_at) == ("retrying", 1, None)
    assert (marks(), log_of(Replied)) == ({}, [])


def test_a_savepoint_of_a_failed_handler_leaves_nothing_behind_either(
    any_database: Database,
) -> None:
    def in_savepoint(event: Noted, session: Session) -> None:
        with session.begin_nested():
            session.add(Mark(what="inside"))
        raise ValueError("after the savepoint")

    subscription = new_subscription(in_savepoint)
    note("a")
    [message] = send(subscription)
    dispatch(subscription, message.event_ids, worker="w")

    assert (delivery().state, marks()) == ("retrying", {})


@pytest.mark.parametrize("batch", [1, 5])
def test_rows_for_later_within_a_savepoint_that_is_undone_are_not_written(
    batch: int, any_database: Database
) -> None:
    def handler(event: Noted, session: Session) -> None:
        with suppress(ValueError), session.begin_nested():
            insert_if_absent(session, Mark, {"id": 1000, "what": "undone"}, later=True)
            raise ValueError("it is handled")
        with session.begin_nested():
            row = {"id": 2000 + ord(event.text), "what": event.text}
            insert_if_absent(session, Mark, row, later=True)

    subscription = new_subscription(handler, batch=batch)
    ids = note("a", "b")
    send(subscription)
    dispatch(subscription, ids, worker="w")

    assert marks() == {"a": 1, "b": 1}


@pytest.mark.parametrize("batch", [1, 5])
def test_a_message_that_comes_twice_changes_nothing(batch: int, any_database: Database) -> None:
    subscription = new_subscription(batch=batch)
    note("a", "b", "c")
    messages = send(subscription)
    reports = [
        str(dispatch(subscription, message.event_ids, worker="w"))
        for message in [*messages, *messages]
    ]

    assert marks() == {"a": 1, "b": 1, "c": 1}
    assert all(report.startswith("duplicate") for report in reports[len(messages) :])


def test_of_a_batch_that_fails_only_the_failing_delivery_fails(any_database: Database) -> None:
    subscription = new_subscription(fails_for("c"), batch=10)
    note("a", "b", "c", "d")
    [message] = send(subscription)

    report = dispatch(subscription, message.event_ids, worker="w")

    assert (
        report.count(Result.HANDLED),
        report.count(Result.RETRYING),
        report.count(Result.DEAD),
    ) == (3, 1, 0)
    assert marks() == {"a": 1, "b": 1, "d": 1}
    assert [row.state for row in deliveries()] == ["done", "done", "retrying", "done"]
    assert len(failed_attempts()) == 1


def test_a_batch_is_one_transaction(any_database: Database) -> None:
    sessions: set[int] = set()

    def collect_session(event: Noted, session: Session) -> None:
        sessions.add(id(session))
        mark(event, session)

    subscription = new_subscription(collect_session, batch=10)
    note("a", "b", "c")
    [message] = send(subscription)
    dispatch(subscription, message.event_ids, worker="w")

    assert (len(sessions), marks()) == (1, {"a": 1, "b": 1, "c": 1})


def test_a_batch_with_done_deliveries_handles_the_others(any_database: Database) -> None:
    subscription = new_subscription(batch=10)
    ids = note("a", "b", "c")
    send(subscription)
    dispatch(subscription, ids[:1], worker="w")

    report = dispatch(subscription, ids, worker="w")

    assert (report.count(Result.HANDLED), report.count(Result.DUPLICATE)) == (2, 1)
    assert marks() == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize(
    ("outcome", "texts"),
    [
        (None, []),
        (Replied(text="one"), ["one"]),
        ([Replied(text="x"), Replied(text="y")], ["x", "y"]),
        ([], []),
    ],
)
def test_a_handler_returns_an_event_several_or_none(
    outcome: object, texts: list[str], any_database: Database
) -> None:
    with Bus(subscriptions=[new_subscription(lambda event, session: outcome)]) as bus:
        note("a")
        bus.drain()

    assert log_of(Replied) == texts


def test_two_workers_with_the_same_message_have_one_effect(any_database: Database) -> None:
    subscription = new_subscription()

    def dispatch_in_another_worker(event: Noted, session: Session) -> None:
        mark(event, session)
        if not any_database.sqlite:  # SQLite has one writer at a time
            reports.append(str(dispatch(new_subscription(), ids, worker="the other")))

    reports: list[str] = []
    ids: list[UUID] = note("a")
    send(subscription)
    reports.append(str(dispatch(new_subscription(dispatch_in_another_worker), ids, worker="one")))

    assert sorted(reports) == (["handled"] if any_database.sqlite else ["duplicate", "handled"])
    assert marks() == {"a": 1}
