"""The ledger: the state that each operation gives a delivery, from each state it may be in."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import and_, or_, update
from sqlalchemy.orm import Session

from events import Database, clock, ledger, transaction
from events.ledger import IS_DEAD, IS_OPEN, OPEN, State
from events.retry import Decision
from events.tables import Delivery
from tests.events.sample import deliveries, failure, new_subscription, note, send

NAME = "notes.mark"
IN_FLIGHT = " in flight"
# Each status of a delivery: its state, and for an open one whether it has been sent.
PENDING, RETRYING = State.PENDING.value, State.RETRYING.value
PENDING_SENT, RETRYING_SENT = PENDING + IN_FLIGHT, RETRYING + IN_FLIGHT
DONE, DEAD, DISCARDED = State.DONE.value, State.DEAD.value, State.DISCARDED.value
STATUSES = (PENDING, PENDING_SENT, RETRYING, RETRYING_SENT, DONE, DEAD, DISCARDED)
LATER = timedelta(seconds=30)


def this(event_id: UUID) -> Any:
    """Return the condition for one delivery."""
    return and_(Delivery.subscription == NAME, Delivery.event_id == event_id)


def fail(session: Session, event_id: UUID) -> bool:
    return ledger.fail(session, NAME, event_id, failure(), Decision(wait=30.0))


def fail_at_last(session: Session, event_id: UUID) -> bool:
    return ledger.fail(session, NAME, event_id, failure(), Decision(wait=None))


def discard(session: Session, event_id: UUID) -> list[Delivery]:
    return ledger.discard(session, and_(or_(IS_OPEN, IS_DEAD), this(event_id)))


def release_at_once(session: Session, event_id: UUID) -> None:
    ledger.release(session, NAME, [event_id], wait=0.0, reason="paused")


def release_for_later(session: Session, event_id: UUID) -> None:
    ledger.release(session, NAME, [event_id], wait=30.0, reason="database")


# Each operation with the statuses that it changes; it leaves every other one as it was.
TRANSITIONS: list[tuple[Callable[[Session, UUID], Any], Mapping[str, str]]] = [
    (
        lambda session, event_id: ledger.mark_sent(session, NAME, [event_id], message="m"),
        {PENDING: PENDING_SENT, RETRYING: RETRYING_SENT},
    ),
    (
        lambda session, event_id: ledger.unmark_sent(session, NAME, [event_id]),
        {PENDING_SENT: PENDING, RETRYING_SENT: RETRYING},
    ),
    (
        lambda session, event_id: ledger.defer(session, NAME, [event_id], clock.now() + LATER),
        {},
    ),
    (
        lambda session, event_id: ledger.claim(session, NAME, [event_id]),
        {PENDING_SENT: DONE, RETRYING_SENT: DONE},
    ),
    (lambda session, event_id: ledger.count_start(session, NAME, event_id), {}),
    (fail, {PENDING_SENT: RETRYING, RETRYING_SENT: RETRYING}),
    (fail_at_last, {PENDING_SENT: DEAD, RETRYING_SENT: DEAD}),
    (release_at_once, {PENDING_SENT: PENDING, RETRYING_SENT: RETRYING}),
    (release_for_later, {PENDING_SENT: RETRYING, RETRYING_SENT: RETRYING}),
    (
        lambda session, event_id: ledger.mark_lost(session, NAME, [event_id], delay=1.0),
        {PENDING_SENT: PENDING, RETRYING_SENT: RETRYING},
    ),
    (
        lambda session, event_id: ledger.replay(session, [(NAME, event_id, clock.now())]),
        {DEAD: RETRYING},
    ),
    (
        discard,
        dict.fromkeys((PENDING, PENDING_SENT, RETRYING, RETRYING_SENT, DEAD), DISCARDED),
    ),
]
OPERATIONS = (
    *("mark_sent", "unmark_sent", "defer", "claim", "count_start", "fail", "fail at last"),
    *("release at once", "release for later", "mark_lost", "replay", "discard"),
)


def one_of_each_status() -> dict[UUID, str]:
    """Make a delivery in each status; return the statuses by event id."""
    event_ids = note(*STATUSES)
    send(new_subscription())
    now = clock.now()
    with transaction() as session:
        for event_id, status in zip(event_ids, STATUSES, strict=True):
            state = State(status.removesuffix(IN_FLIGHT))
            sent = state not in OPEN or status.endswith(IN_FLIGHT)
            values = {"state": state, "sent_at": now if sent else None}
            session.execute(update(Delivery).where(this(event_id)).values(values))
    return dict(zip(event_ids, STATUSES, strict=True))


def statuses() -> dict[UUID, str]:
    """Return the status of each delivery by its event id."""
    return {
        row.event_id: row.state + (IN_FLIGHT if row.state in OPEN and row.sent_at else "")
        for row in deliveries()
    }


@pytest.mark.parametrize(("operation", "changes"), TRANSITIONS, ids=OPERATIONS)
def test_an_operation_changes_the_states_that_it_is_for_and_no_others(
    operation: Callable[[Session, UUID], Any], changes: Mapping[str, str], any_database: Database
) -> None:
    before = one_of_each_status()
    assert statuses() == before

    for event_id in before:
        with transaction() as session:
            operation(session, event_id)

    assert statuses() == {
        event_id: changes.get(status, status) for event_id, status in before.items()
    }


def test_the_operations_reach_every_state_and_leave_every_state_but_done_and_discarded() -> None:
    reached = {end for _, changes in TRANSITIONS for end in changes.values()}
    left = {start for _, changes in TRANSITIONS for start in changes}

    assert reached == set(STATUSES)
    assert left == set(STATUSES) - {DONE, DISCARDED}


def test_a_new_delivery_is_pending_and_unsent_with_every_count_at_zero(
    any_database: Database,
) -> None:
    send(new_subscription())
    [event_id] = note("a")
    with transaction() as session:
        row = ledger.new_delivery(NAME, "notes", event_id, clock.now())
        ledger.insert_deliveries(session, [row])

    [delivery] = deliveries()
    assert (delivery.state, delivery.sent_at, delivery.message) == (State.PENDING, None, None)
    counts = (delivery.attempts, delivery.sends, delivery.lost_count, delivery.unfinished_starts)
    assert counts == (0, 0, 0, 0)


def test_claim_returns_the_deliveries_that_were_in_flight_and_a_second_claim_none(
    any_database: Database,
) -> None:
    before = one_of_each_status()
    in_flight = {event_id for event_id, status in before.items() if status.endswith(IN_FLIGHT)}

    with transaction() as session:
        assert ledger.claim(session, NAME, list(before)) == in_flight
    with transaction() as session:
        assert ledger.claim(session, NAME, list(before)) == set()
        assert not any(fail(session, event_id) for event_id in before)
        assert {ledger.count_start(session, NAME, event_id) for event_id in before} == {None}


def test_every_operation_that_ends_a_flight_resets_the_counts_of_a_suspect(
    any_database: Database,
) -> None:
    for operation in (fail, fail_at_last, _claim):
        [event_id] = note("a")
        send(new_subscription())
        with transaction() as session:
            suspect = {"lost_count": 2, "unfinished_starts": 1}
            session.execute(update(Delivery).where(this(event_id)).values(suspect))
        with transaction() as session:
            operation(session, event_id)

    assert {(row.lost_count, row.unfinished_starts) for row in deliveries()} == {(0, 0)}


def _claim(session: Session, event_id: UUID) -> set[UUID]:
    return ledger.claim(session, NAME, [event_id])
