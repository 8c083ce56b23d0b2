from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from events import Database, Event, publish, reading, transaction
from events.dispatch import Result, dispatch
from events.tables import Attempt, Delivery, LogEntry
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
    """A handler that marks first and then fails for these texts."""

    def handler(event: Noted, session: Session) -> Replied:
        mark(event, session)
        session.flush()
        publish(session, Replied(text=f"{event.text} too early"))
        if event.text in texts:
            raise ValueError(f"cannot handle {event.text}")
        return Replied(text=event.text)

    return handler


def log_of(kind: type[Event]) -> list[str]:
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


def test_a_message_for_a_delivery_that_is_not_in_flight_changes_nothing(
    any_database: Database,
) -> None:
    subscription = new_subscription()
    for change in (
        update(Delivery).values(state="dead"),
        update(Delivery).values(state="discarded"),
        update(Delivery).values(state="done"),
        update(Delivery).values(sent_at=None),  # taken back, or to be retried later
    ):
        [id] = note("a")
        send(subscription)
        with transaction() as session:
            session.execute(change.where(Delivery.event_id == id))

        assert str(dispatch(subscription, [id], worker="w")) == "duplicate"
    assert (marks(), failed_attempts()) == ({}, [])


def test_a_message_for_a_pruned_delivery_or_an_unknown_event_changes_nothing(
    any_database: Database,
) -> None:
    subscription = new_subscription()
    [id] = note("a")
    send(subscription)
    with transaction() as session:
        session.execute(delete(Delivery))
        session.execute(delete(LogEntry))

    assert str(dispatch(subscription, [id, uuid4()], worker="w")) == "duplicate 2"
    assert marks() == {}


def test_a_forged_message_for_a_subscription_without_that_delivery_changes_nothing(
    any_database: Database,
) -> None:
    mine, others = new_subscription(), new_subscription(name="others.mark")
    note("a")
    send(mine)

    assert str(dispatch(others, [delivery().event_id], worker="w")) == "duplicate"
    assert (marks(), delivery().state) == ({}, "pending")


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

    def remember(event: Noted, session: Session) -> None:
        sessions.add(id(session))
        mark(event, session)

    subscription = new_subscription(remember, batch=10)
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

    def meet_another_worker(event: Noted, session: Session) -> None:
        mark(event, session)
        if not any_database.sqlite:  # on SQLite the other one waits for its turn to write
            reports.append(str(dispatch(new_subscription(), ids, worker="the other")))

    reports: list[str] = []
    ids: list[UUID] = note("a")
    send(subscription)
    reports.append(str(dispatch(new_subscription(meet_another_worker), ids, worker="one")))

    assert sorted(reports) == (["handled"] if any_database.sqlite else ["duplicate", "handled"])
    assert marks() == {"a": 1}


def test_an_attempt_records_worker_duration_error_and_traceback(any_database: Database) -> None:
    subscription = new_subscription(fails_for("a"))
    note("a")
    [message] = send(subscription)
    dispatch(subscription, message.event_ids, worker="payment@host")

    [row] = failed_attempts()
    assert (row.number, row.send, row.worker, row.error_type, row.message) == (
        1,
        1,
        "payment@host",
        "ValueError",
        "cannot handle a",
    )
    assert row.took >= 0
    assert "in handler" in row.traceback
    assert row.traceback.endswith("ValueError: cannot handle a\n")
    with reading() as session:
        assert session.scalars(select(Attempt.event_id)).all() == list(message.event_ids)
