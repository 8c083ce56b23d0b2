"""Suspects: deliveries whose worker died are sent alone, and dead after `max_crashes` starts."""

from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from events import Database, ledger, reading, suspects, transaction
from events.dispatch import dispatch
from events.messages import Message
from events.settings import settings
from events.suspects import ISOLATE_AFTER_LOSSES, CrashLoop
from events.system_events import DeliveryDead
from events.tables import Delivery, LogEntry
from events.testing import Bus, ManualClock
from tests.events.sample import (
    Noted,
    deliveries,
    delivery,
    failed_attempts,
    mark,
    marks,
    new_subscription,
    note,
    send,
)


class Killed(BaseException):
    """The end of the process, which no code of the bus catches."""


def deadly(event: Noted, session: Session) -> None:
    """Add a mark; kill the process for the text `die`."""
    mark(event, session)
    if event.text == "die":
        raise Killed


SUBSCRIPTION = new_subscription(deadly, batch=10)


def handle(message: Message, *, reported: bool, redelivered: bool = False) -> None:
    """Handle a message as a worker does; if it dies, its parent reports the crash or does not."""
    try:
        dispatch(SUBSCRIPTION, message.event_ids, worker="w", suspect=redelivered)
    except Killed:
        if reported:
            report_crash(*message.event_ids)


def report_crash(*event_ids: UUID) -> None:
    """Report that the process died which handled these deliveries, as its parent does."""
    with transaction() as session:
        suspects.report_crash(
            session, SUBSCRIPTION.name, event_ids, worker="w", why="its process died"
        )


def mark_lost(*event_ids: UUID) -> None:
    """Mark deliveries as lost, one by one, as the relay does."""
    for event_id in event_ids:
        with transaction() as session:
            suspects.mark_lost(session, ledger._these(SUBSCRIPTION.name, [event_id]))


def test_a_delivery_that_kills_its_worker_is_dead_and_its_neighbours_are_handled(
    any_database: Database, time: ManualClock
) -> None:
    deadly_id, *_ = note("die", "a", "b")
    rounds = 0
    while any(row.state == "pending" for row in deliveries()) or not rounds:
        rounds += 1
        time.advance(3600)
        for message in send(SUBSCRIPTION):
            handle(message, reported=True)

    assert {row.event_id: row.state for row in deliveries()}[deadly_id] == "dead"
    assert marks() == {"a": 1, "b": 1}
    [row] = [row for row in deliveries() if row.state == "dead"]
    starts = settings().max_crashes
    assert row.error == (
        f"CrashLoop: crash loop: started {starts} times, its process died each time"
    )
    assert row.fingerprint == "CrashLoop notes.mark"
    # The first send, in the batch, is not counted: any of the three may have killed the process.
    assert row.sends == starts + 1


def test_the_end_of_a_crash_loop_is_recorded_as_an_attempt_and_published(
    any_database: Database, time: ManualClock
) -> None:
    [event_id] = note("die")
    for _ in range(settings().max_crashes + 1):
        time.advance(3600)
        [message] = send(SUBSCRIPTION)
        handle(message, reported=True)

    [row] = failed_attempts()
    assert (row.error_type, row.event_id, row.number) == (CrashLoop.__name__, event_id, 1)
    with reading() as session:
        assert session.scalars(select(LogEntry.type).order_by(LogEntry.position)).all() == [
            "sample.noted",
            DeliveryDead.type,
        ]


def test_without_a_crash_report_the_next_workers_count_the_starts(
    any_database: Database, time: ManualClock
) -> None:
    # After kill -9 of a whole node no parent reports: the broker redelivers the message, marked.
    note("die")
    for _ in range(settings().max_crashes + 1):
        time.advance(3600)
        for message in send(SUBSCRIPTION):
            handle(message, reported=False)
            handle(message, reported=False, redelivered=True)
            handle(message, reported=False, redelivered=True)

    assert delivery().state == "dead"


def test_a_started_delivery_that_comes_back_is_given_back_to_be_sent_alone(
    any_database: Database,
) -> None:
    # In a process of threads it would run beside another one that came back, and die with it.
    note("die")
    [message] = send(SUBSCRIPTION)
    handle(message, reported=False, redelivered=True)

    handle(message, reported=False, redelivered=True)

    row = delivery()
    assert (row.state, row.unfinished_starts, row.sent_at) == ("pending", 1, None)
    assert row.lost_count == ISOLATE_AFTER_LOSSES


def test_a_delivery_lost_once_is_sent_with_the_others_and_lost_twice_alone(
    any_database: Database, time: ManualClock
) -> None:
    event_ids = note("a", "b")
    sizes = []
    for _ in range(3):
        time.advance(3600)
        sizes.append(sorted(len(message.event_ids) for message in send(SUBSCRIPTION)))
        mark_lost(*event_ids)

    assert sizes == [[2], [2], [1, 1]]
    assert {row.lost_count for row in deliveries()} == {3}


def test_losses_without_a_start_never_make_a_delivery_dead(
    any_database: Database, time: ManualClock
) -> None:
    [event_id] = note("a")
    for _ in range(20):  # a broker that loses everything
        time.advance(3600)
        send(SUBSCRIPTION)
        mark_lost(event_id)
    time.advance(3600)
    [message] = send(SUBSCRIPTION)
    handle(message, reported=True)

    assert (delivery().state, marks()) == ("done", {"a": 1})


def test_success_and_failure_reset_the_loss_count(any_database: Database) -> None:
    def fail(event: Noted, session: Session) -> None:
        if event.text == "fail":
            raise ValueError("no")

    with Bus(subscriptions=[new_subscription(fail)], fail_fast=False) as bus:
        note("fail", "a")
        for message in send(new_subscription(fail)):
            report_crash(*message.event_ids)
        assert {row.lost_count for row in deliveries()} == {ISOLATE_AFTER_LOSSES}
        bus.advance(5)

    assert [(row.lost_count, row.unfinished_starts) for row in deliveries()] == [(0, 0), (0, 0)]


def test_of_the_suspects_that_were_started_one_is_in_flight_at_a_time(
    any_database: Database, time: ManualClock
) -> None:
    first, second = note("a", "b")
    send(SUBSCRIPTION)
    report_crash(first, second)
    with transaction() as session:
        session.execute(update(Delivery).values(unfinished_starts=1))
    time.advance(3600)

    [message] = send(SUBSCRIPTION)
    time.advance(3600)
    assert send(SUBSCRIPTION) == []  # the first is still in flight
    handle(message, reported=True)
    time.advance(3600)
    [other] = send(SUBSCRIPTION)
    handle(other, reported=True)

    assert {*message.event_ids, *other.event_ids} == {first, second}
    assert marks() == {"a": 1, "b": 1}


@pytest.mark.parametrize("state", ["done", "dead"])
def test_a_settled_delivery_cannot_be_lost(state: str, any_database: Database) -> None:
    [event_id] = note("a")
    send(SUBSCRIPTION)
    with transaction() as session:
        session.get_one(Delivery, (event_id, SUBSCRIPTION.name)).state = state
    mark_lost(event_id)

    assert (delivery().state, delivery().lost_count) == (state, 0)


def test_the_delay_grows_with_each_loss_up_to_ten_seconds(
    any_database: Database, time: ManualClock
) -> None:
    [event_id] = note("a")
    waits = []
    for _ in range(13):
        time.advance(3600)
        send(SUBSCRIPTION)
        mark_lost(event_id)
        waits.append(round((delivery().due_at - time()).total_seconds()))

    assert waits == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]


def test_a_suspect_that_is_released_repeatedly_is_no_crash_loop(
    any_database: Database,
) -> None:
    subscription = new_subscription()
    [event_id] = note("a")
    send(subscription)
    report_crash(event_id)
    with (
        transaction() as session
    ):  # an unknown version: a worker starts the delivery, then releases it
        session.execute(update(LogEntry).values(version=99))
    with Bus(subscriptions=[subscription], fail_fast=False) as bus:
        for _ in range(settings().max_crashes + 3):
            bus.advance(60)
        assert (
            delivery().state,
            delivery().attempts,
            delivery().sends > settings().max_crashes,
        ) == ("retrying", 0, True)
        with transaction() as session:
            session.execute(update(LogEntry).values(version=1))
        bus.advance(60)

    assert (delivery().state, marks()) == ("done", {"a": 1})
