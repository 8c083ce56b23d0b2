"""The ledger: every write of a delivery, each in one statement that changes open rows only.

    insert ──> PENDING ──mark_sent──> in flight ──claim──> DONE
                  ^                    │  │  │
                  │   unmark_sent,     │  │  └──fail──> RETRYING ──mark_sent──> in flight
                  └── mark_lost ───────┘  └──fail, bury──> DEAD ──replay──> RETRYING
                                                             └──discard──> DISCARDED

A delivery is open while it is PENDING or RETRYING, and in flight while it is open and sent. Only
one in flight can be claimed, so a message that comes twice, or after that, changes nothing. Only
the transaction of a claim can undo it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import and_, bindparam, literal, select, update
from sqlalchemy.orm import Session

from events import attempts, clock, context, log, observers
from events.attempts import Failure
from events.dialects import dialect_of
from events.retry import Decision
from events.system_events import DeliveryDead, death_of
from events.tables import DELIVERIES, Delivery


class State(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"  # not handled yet, and no attempt has failed
    RETRYING = "retrying"  # an attempt failed, or a person replayed it; due again at `due_at`
    DONE = "done"  # handled: its effect is committed
    DEAD = "dead"  # no retry saved it; a person replays or discards it
    DISCARDED = "discarded"  # given up by a person


OPEN = (State.PENDING, State.RETRYING)
# Values are literals in each statement: SQLite uses a partial index only if it sees them.
_D = DELIVERIES.c
IS_OPEN = _D.state.in_(bindparam("open", OPEN, expanding=True, literal_execute=True))
IS_DEAD = _D.state == literal(State.DEAD, literal_execute=True)
IS_DONE = _D.state == literal(State.DONE, literal_execute=True)
IS_IN_FLIGHT = and_(IS_OPEN, _D.sent_at.is_not(None))
IS_TO_SEND = and_(IS_OPEN, _D.sent_at.is_(None))
# For rows that are named by their key: no planner finds a partial index in these. PostgreSQL takes
# one for empty until the next ANALYZE, and a claim amid 200 in flight read them 200 times, 5 ms.
_OPEN_BY_KEY = (_D.state + "").in_(bindparam("open", OPEN, expanding=True, literal_execute=True))
IN_FLIGHT_BY_KEY = and_(_OPEN_BY_KEY, _D.sent_at.is_not(None))
DEAD_BY_KEY = _D.state + "" == State.DEAD
_TO_SEND_BY_KEY = and_(_OPEN_BY_KEY, _D.sent_at.is_(None))

RESET: dict[str, Any] = {"sent_at": None, "lost_count": 0, "unfinished_starts": 0}
_NEW = {"state": State.PENDING, "message": None, "attempts": 0, "sends": 0} | RESET
_NO_FAILURE = {"error": None, "fingerprint": None, "lost_count": 0, "unfinished_starts": 0}
_IN_PLACE = {"synchronize_session": False}

# Statements of the hot path are built once: to build one took as long as to run it.
_NAME = _D.subscription == bindparam("name")
_MARK_SENT = (
    update(DELIVERIES)
    .where(_NAME, _D.event_id.in_(bindparam("ids", expanding=True)), _TO_SEND_BY_KEY)
    .values(sent_at=bindparam("now"), sends=_D.sends + 1, message=bindparam("carrier"))
)


def new_delivery(name: str, queue: str, event_id: UUID, due_at: datetime) -> dict[str, Any]:
    """Return the values of a new delivery to subscription `name`."""
    return {"event_id": event_id, "subscription": name, "queue": queue, "due_at": due_at} | _NEW


def insert_deliveries(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert new deliveries, as `new_delivery` makes them."""
    if rows:
        dialect_of(session).insert_rows(session, DELIVERIES, rows)


def mark_sent(session: Session, subscription: str, ids: Collection[UUID], *, message: str) -> None:
    """Mark deliveries as sent now, in the task message with the id `message`."""
    values = {"name": subscription, "ids": ids, "carrier": message, "now": clock.now()}
    session.execute(_MARK_SENT, values)


def unmark_sent(session: Session, subscription: str, ids: Collection[UUID]) -> None:
    """Make deliveries due again whose message the broker refused."""
    _update(session, _these(subscription, ids), _OPEN_BY_KEY, sent_at=None)


def unmark_all_sent(session: Session) -> None:
    """Make all deliveries in flight due: a restored ledger has other messages than the broker."""
    _update(session, IS_IN_FLIGHT, **RESET, due_at=clock.now())


def defer(session: Session, subscription: str, ids: Collection[UUID], due_at: datetime) -> None:
    """Move the due time of deliveries that are to be sent."""
    _update(session, _these(subscription, ids), _TO_SEND_BY_KEY, due_at=due_at)


@cache
def _claim(dialect: Any, *, wakes: bool) -> Any:
    ours = and_(_NAME, dialect.is_one_of(_D.event_id, "ids"), IN_FLIGHT_BY_KEY)
    locked = select(_D.event_id).where(ours).with_for_update(skip_locked=True)
    claimed = update(DELIVERIES).where(_NAME, dialect.is_locked(_D.event_id, locked))
    done = claimed.values(state=State.DONE, done_at=bindparam("now"), **_NO_FAILURE)
    return done.returning(_D.event_id, *(dialect.notifying(log.CHANNEL) if wakes else ()))


def claim(
    session: Session, subscription: str, ids: Sequence[UUID], *, wakes: bool = False
) -> set[UUID]:
    """Mark deliveries done and return those that were in flight; wake the relay if it `wakes`.

    The handler's work commits with the mark or not at all. A row that another worker is handling
    is skipped, not waited for: it ends or fails there.
    """
    dialect, values = dialect_of(session), {"name": subscription, "ids": ids, "now": clock.now()}
    rows = dialect.fetch(session.connection(), _claim(dialect, wakes=wakes), values)
    claimed = {row.event_id for row in rows}
    if wakes:
        log.note_woken(session) if claimed else log.wake(session)
    return claimed


def unclaim(session: Session, subscription: str, ids: Sequence[UUID]) -> None:
    """Undo this transaction's claim of deliveries that it has no time for: they stay in flight."""
    state = sa.case((Delivery.attempts > 0, State.RETRYING), else_=State.PENDING)
    _update(session, _these(subscription, ids), state=state, done_at=None)


def count_start(session: Session, subscription: str, event_id: UUID) -> int | None:
    """Count the start of a delivery; return the number of starts without an end, if it is ours."""
    counted = (
        update(Delivery)
        .where(_these(subscription, [event_id]), IN_FLIGHT_BY_KEY)
        .values(unfinished_starts=Delivery.unfinished_starts + 1)
        .returning(Delivery.unfinished_starts)
    )
    return session.scalar(counted, execution_options=_IN_PLACE)


def fail(
    session: Session, subscription: str, event_id: UUID, failure: Failure, decision: Decision
) -> bool:
    """Record a failed attempt and what follows; false if the delivery was no longer in flight."""
    found = select(Delivery).where(_these(subscription, [event_id]), IN_FLIGHT_BY_KEY)
    row = session.scalar(found.with_for_update())
    if row is None:
        return False
    row.failing_since = row.failing_since or failure.started_at
    row.not_now += decision.not_now
    if decision.wait is None:
        bury(session, row, failure)
        return True
    due_at = clock.now() + timedelta(seconds=decision.wait)
    _count_attempt(session, row, failure, state=State.RETRYING, due_at=due_at)
    log.wake(session)
    return True


def bury(session: Session, row: Delivery, failure: Failure) -> None:
    """Record the last attempt of a delivery that is dead by it, and publish `DeliveryDead`."""
    _count_attempt(session, row, failure, state=State.DEAD, died_at=clock.now())
    [cause] = log.read(session, [row.event_id])
    if cause.type == DeliveryDead.type:  # an alert about a dead alert would go round for ever
        return
    with context.acting(context.caused_by(cause)):
        log.publish(session, death_of(row, cause.type))


def _count_attempt(session: Session, row: Delivery, failure: Failure, **changes: Any) -> None:
    error = f"{failure.error_type}: {failure.message}"
    counted = {"attempts": row.attempts + 1, "fingerprint": failure.fingerprint, "error": error}
    for name, value in (RESET | changes | counted | {"dependency": failure.dependency}).items():
        setattr(row, name, value)
    session.flush()
    attempts.record(session, row, failure)
    observers.note_failure(session, row, failure)


def release(
    session: Session, subscription: str, ids: Sequence[UUID], *, wait: float, reason: str
) -> None:
    """Give deliveries back unharmed, to be sent again in `wait` seconds; no attempt is counted."""
    values: dict[str, Any] = {"sent_at": None, "unfinished_starts": 0, "error": reason}
    values |= {"due_at": clock.now() + timedelta(seconds=wait)}
    values |= {"state": State.RETRYING} if wait else {}
    _update(session, _these(subscription, ids), IN_FLIGHT_BY_KEY, **values)
    log.wake(session)


def mark_lost(
    session: Session, subscription: str, ids: Sequence[UUID], *, delay: float, at_least: int = 1
) -> None:
    """Count a loss and send again in `delay` seconds; the count becomes `at_least` so much."""
    counted, due_at = Delivery.lost_count + 1, clock.now() + timedelta(seconds=delay)
    lost = sa.case((counted < at_least, at_least), else_=counted)
    values = {"lost_count": lost, "sent_at": None, "due_at": due_at}
    _update(session, _these(subscription, ids), IN_FLIGHT_BY_KEY, **values)
    log.wake(session)


_FRESH = RESET | {"attempts": 0, "not_now": 0, "failing_since": None, "died_at": None}
_DEAD = update(DELIVERIES).where(_NAME, _D.event_id == bindparam("id"), DEAD_BY_KEY)
_REPLAY = _DEAD.values(_FRESH | {"state": State.RETRYING, "due_at": bindparam("due")})


def replay(session: Session, rows: Iterable[tuple[str, UUID, datetime]]) -> None:
    """Send dead deliveries again by (subscription, event id, due time), with all attempts ahead."""
    if values := [{"name": name, "id": event_id, "due": due} for name, event_id, due in rows]:
        session.connection().execute(_REPLAY, values)


def discard(session: Session, where: sa.ColumnElement[bool]) -> int:
    """Give deliveries up, open or dead ones; return their number."""
    log.wake(session)  # the window may have room by it
    return _update(session, where, state=State.DISCARDED, done_at=clock.now())


def prune(session: Session, keys: Iterable[tuple[str, UUID]]) -> None:
    """Remove deliveries by (subscription, event id)."""
    session.execute(sa.delete(Delivery).where(these(keys)), execution_options=_IN_PLACE)


def replace_errors(session: Session, where: sa.ColumnElement[bool], text: str) -> int:
    """Replace the errors of deliveries by `text`; return how many rows changed."""
    return _update(session, where, Delivery.error.not_in(("", text)), error=text)


def these(keys: Iterable[tuple[str, UUID]]) -> sa.ColumnElement[bool]:
    """Select deliveries by (subscription, event id), by the key of the table."""
    ids: defaultdict[str, list[UUID]] = defaultdict(list)
    for subscription, event_id in keys:
        ids[subscription].append(event_id)
    return sa.or_(sa.false(), *(_these(name, found) for name, found in ids.items()))


def _these(subscription: str, ids: Collection[UUID]) -> sa.ColumnElement[bool]:
    return and_(Delivery.subscription == subscription, Delivery.event_id.in_(ids))


def _update(session: Session, *where: sa.ColumnElement[bool], **values: Any) -> int:
    changes = update(Delivery).where(*where).values(values).execution_options(**_IN_PLACE)
    return int(session.execute(changes).rowcount)  # type: ignore[attr-defined]  # a cursor's result
