"""Deliveries whose worker dies: sent again alone, and dead after some starts without an end."""

from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from events import Database, ledger, reading, transaction
from events.dispatch import dispatch
from events.ledger import CrashLoop
from events.messages import Message
from events.settings import settings
from events.suspects import ISOLATE_AFTER_LOSSES
from events.system_events import DeliveryDead
from events.tables import Delivery, LogEntry
from events.testing import Bus, ManualClock
from tests.events.sample import Noted, deliveries, delivery, hearing, mark, marks, note, send, tries


class Killed(BaseException):
    """The process ends here: nothing of ours catches it."""


def deadly(event: Noted, session: Session) -> None:
    """A handler that kills its process for the text `die`."""
    mark(event, session)
    if event.text == "die":
        raise Killed


SUBSCRIPTION = hearing(deadly, batch=10)


def ring(message: Message, *, counted: bool, redelivered: bool = False) -> None:
    """A worker gets the message; if it dies, its parent counts the crash, or nobody does."""
    try:
        dispatch(SUBSCRIPTION, message.event_ids, worker="w", suspect=redelivered)
    except Killed:
        if counted:
            with transaction() as session:
                ledger.crash(
                    session,
                    SUBSCRIPTION.name,
                    message.event_ids,
                    worker="w",
                    why="its process died",
                )


def lose(*ids: UUID) -> None:
    """The relay finds that these are lost."""
    for id in ids:
        with transaction() as session:
            ledger.lose(session, ledger._one(SUBSCRIPTION.name, id))


def test_a_delivery_that_kills_its_worker_is_dead_and_its_neighbours_are_handled(
    any_database: Database, time: ManualClock
) -> None:
    killer, *_ = note("die", "a", "b")
    rounds = 0
    while any(row.state == "pending" for row in deliveries()) or not rounds:
        rounds += 1
        time.advance(3600)
        for message in send(SUBSCRIPTION):
            ring(message, counted=True)

    assert {row.event_id: row.state for row in deliveries()}[killer] == "dead"
    assert marks() == {"a": 1, "b": 1}
    [row] = [row for row in deliveries() if row.state == "dead"]
    assert (
        row.error
        == f"CrashLoop: crash loop: started {settings().max_crashes} times, its process died each time"
    )
    assert row.fingerprint == "CrashLoop notes.mark"
    assert row.sends == settings().max_crashes + 1  # the first, in the batch, is nobody's fault yet


def test_the_end_of_a_crash_loop_is_an_attempt_and_is_told(
    any_database: Database, time: ManualClock
) -> None:
    [id] = note("die")
    for _ in range(settings().max_crashes + 1):
        time.advance(3600)
        [message] = send(SUBSCRIPTION)
        ring(message, counted=True)

    [row] = tries()
    assert (row.error_type, row.event_id, row.number) == (CrashLoop.__name__, id, 1)
    with reading() as session:
        assert session.scalars(select(LogEntry.type).order_by(LogEntry.position)).all() == [
            "sample.noted",
            DeliveryDead.type,
        ]


def test_without_anybody_to_count_the_starts_are_counted_by_the_next_worker(
    any_database: Database,
) -> None:
    # kill -9 of the whole node: the broker gives the message back, marked as redelivered, and nobody said why.
    note("die")
    [message] = send(SUBSCRIPTION)
    ring(message, counted=False)
    for _ in range(settings().max_crashes + 1):
        ring(message, counted=False, redelivered=True)

    assert delivery().state == "dead"


def test_lost_once_a_delivery_travels_with_the_others_and_lost_twice_alone(
    any_database: Database, time: ManualClock
) -> None:
    ids = note("a", "b")
    sizes = []
    for _ in range(3):
        time.advance(3600)
        sizes.append(sorted(len(message.event_ids) for message in send(SUBSCRIPTION)))
        lose(*ids)

    assert sizes == [[2], [2], [1, 1]]
    assert {row.lost_count for row in deliveries()} == {3}


def test_a_loss_without_a_start_never_ends_in_death(
    any_database: Database, time: ManualClock
) -> None:
    [id] = note("a")
    for _ in range(20):  # a broker that loses everything
        time.advance(3600)
        send(SUBSCRIPTION)
        lose(id)
    time.advance(3600)
    [message] = send(SUBSCRIPTION)
    ring(message, counted=True)

    assert (delivery().state, marks()) == ("done", {"a": 1})


def test_success_and_failure_forget_the_losses(any_database: Database) -> None:
    def fail(event: Noted, session: Session) -> None:
        if event.text == "fail":
            raise ValueError("no")

    with Bus(subscriptions=[hearing(fail)], fail_fast=False) as bus:
        note("fail", "a")
        for message in send(hearing(fail)):
            with transaction() as session:
                ledger.crash(
                    session, "notes.mark", message.event_ids, worker="w", why="its process died"
                )
        assert {row.lost_count for row in deliveries()} == {ISOLATE_AFTER_LOSSES}
        bus.advance(5)

    assert [(row.lost_count, row.unfinished_starts) for row in deliveries()] == [(0, 0), (0, 0)]


def test_of_those_whose_start_was_followed_by_a_death_one_is_on_its_way_at_a_time(
    any_database: Database, time: ManualClock
) -> None:
    first, second = note("a", "b")
    send(SUBSCRIPTION)
    with transaction() as session:
        ledger.crash(
            session, SUBSCRIPTION.name, [first, second], worker="w", why="its process died"
        )
        session.execute(update(Delivery).values(starts=1))
    time.advance(3600)

    [message] = send(SUBSCRIPTION)
    time.advance(3600)
    assert send(SUBSCRIPTION) == []  # the first is still out
    ring(message, counted=True)
    time.advance(3600)
    [other] = send(SUBSCRIPTION)
    ring(other, counted=True)

    assert {*message.event_ids, *other.event_ids} == {first, second}
    assert marks() == {"a": 1, "b": 1}


@pytest.mark.parametrize("state", ["done", "dead"])
def test_a_settled_delivery_cannot_be_lost(state: str, any_database: Database) -> None:
    [id] = note("a")
    send(SUBSCRIPTION)
    with transaction() as session:
        session.get_one(type(delivery()), (SUBSCRIPTION.name, id)).state = state
    lose(id)

    assert (delivery().state, delivery().lost_count) == (state, 0)


def test_the_longer_it_is_lost_the_longer_it_waits_up_to_ten_seconds(
    any_database: Database, time: ManualClock
) -> None:
    [id] = note("a")
    waits = []
    for _ in range(13):
        time.advance(3600)
        send(SUBSCRIPTION)
        lose(id)
        waits.append(round((delivery().due_at - time()).total_seconds()))

    assert waits == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]
