"""Retention: remove old rows of the ledger. Events stay unless that is asked for.

Pruned deliveries are not given out again: for each subscription and event type the time is kept up
to which deliveries were removed, and a backfill begins after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select, tuple_, update
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session, aliased

from events import ledger
from events.admin import audit
from events.database import reading, transaction
from events.ledger import IS_DEAD, IS_DONE, State
from events.orm import insert_if_absent
from events.tables import Attempt, Delivery, InvalidMessageRow, LogEntry, Pruning


@dataclass(frozen=True)
class Limits:
    """The moments before which rows are removed; `None` keeps them for ever.

    `dead` is for dead letters, discarded deliveries and invalid messages, `done` for handled
    deliveries, `events` for events whose whole subject is older and has no delivery left.
    """

    dead: datetime
    done: datetime | None = None
    events: datetime | None = None

    def __str__(self) -> str:
        limits = {
            "dead letters and invalid messages": self.dead,
            "handled deliveries": self.done,
            "events": self.events,
        }
        return ", ".join(
            f"{what} before {limit:%Y-%m-%d %H:%M} UTC" for what, limit in limits.items() if limit
        )


@dataclass(frozen=True)
class Counts:
    """The number of rows of each kind."""

    dead_letters: int = 0
    done: int = 0
    attempts: int = 0
    invalid_messages: int = 0
    events: int = 0


def count(limits: Limits) -> Counts:
    """Return the numbers of rows that `prune` would remove now."""
    old = or_(_dead(limits), _done(limits))
    with reading() as session:

        def rows(kind: Any, *where: ColumnElement[bool]) -> int:
            return session.scalar(select(func.count()).select_from(kind).where(*where)) or 0

        return Counts(
            dead_letters=rows(Delivery, _dead(limits)),
            done=rows(Delivery, _done(limits)),
            attempts=rows(Attempt, exists().where(_of_attempt(), old)),
            invalid_messages=rows(InvalidMessageRow, InvalidMessageRow.at < limits.dead),
            events=rows(LogEntry, _is_over(limits, holding=not_(old))),
        )


def prune(limits: Limits, *, who: str, why: str = "", at_once: int = 1000) -> Counts:
    """Remove the rows that are older than `limits`, and record it in the audit.

    Commits after each `at_once` rows, so that nobody waits long; run again after a failure it goes
    on.
    """
    with transaction() as session:
        audit.record(session, who=who, action="prune", target=str(limits), why=why)
    dead, attempts = _prune_deliveries(_dead(limits), at_once)
    done, more_attempts = _prune_deliveries(_done(limits), at_once)
    old = InvalidMessageRow.at < limits.dead
    return Counts(
        dead_letters=dead,
        done=done,
        attempts=attempts + more_attempts,
        invalid_messages=_delete(InvalidMessageRow.id, old, at_once),
        events=_delete(LogEntry.position, _is_over(limits), at_once),
    )


def _dead(limits: Limits) -> ColumnElement[bool]:
    dead = and_(IS_DEAD, func.coalesce(Delivery.died_at, Delivery.due_at) < limits.dead)
    given_up = func.coalesce(Delivery.done_at, Delivery.died_at, Delivery.due_at) < limits.dead
    return or_(dead, and_(Delivery.state == State.DISCARDED, given_up))


def _done(limits: Limits) -> ColumnElement[bool]:
    if limits.done is None:
        return false()
    return and_(IS_DONE, func.coalesce(Delivery.done_at, Delivery.due_at) < limits.done)


def _is_over(limits: Limits, *, holding: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """Select events of subjects without a later event and without a delivery that is `holding`."""
    if limits.events is None:
        return false()
    other, same = aliased(LogEntry), _same_subject
    held = exists().where(
        Delivery.event_id == other.id, same(other), *([] if holding is None else [holding])
    )
    goes_on = exists().where(
        same(other), or_(other.time >= limits.events, other.relayed_at.is_(None))
    )
    return and_(LogEntry.time < limits.events, LogEntry.relayed_at.is_not(None), ~held, ~goes_on)


def _same_subject(other: Any) -> ColumnElement[bool]:
    return or_(other.position == LogEntry.position, other.subject == LogEntry.subject)


def _of_attempt() -> ColumnElement[bool]:
    return and_(
        Delivery.subscription == Attempt.subscription, Delivery.event_id == Attempt.event_id
    )


def _repeat(step: Callable[[Session], int]) -> int:
    """Run `step` in transactions of their own until it removes nothing; return the rows."""
    total = 0
    while True:
        with transaction() as session:
            removed = step(session)
        if not removed:
            return total
        total += removed


def _delete(key: Any, where: ColumnElement[bool], at_once: int) -> int:
    def step(session: Session) -> int:
        keys = session.scalars(select(key).where(where).limit(at_once)).all()
        gone = delete_from(key.class_).where(key.in_(keys))
        session.execute(gone, execution_options={"synchronize_session": False})
        return len(keys)

    return _repeat(step)


def _prune_deliveries(where: ColumnElement[bool], at_once: int) -> tuple[int, int]:
    """Remove deliveries and their attempts; return the number of each."""
    attempts = 0

    def step(session: Session) -> int:
        nonlocal attempts
        found = select(Delivery.subscription, Delivery.event_id, LogEntry.type, LogEntry.relayed_at)
        joined = found.join(LogEntry, LogEntry.id == Delivery.event_id).where(where).limit(at_once)
        rows = session.execute(joined.with_for_update(of=Delivery, skip_locked=True)).all()
        keys = [(row.subscription, row.event_id) for row in rows]
        theirs = tuple_(Attempt.subscription, Attempt.event_id).in_(keys)
        attempts += len(
            session.execute(delete_from(Attempt).where(theirs).returning(Attempt.id)).all()
        )
        ledger.prune(session, keys)
        _remember(session, rows)
        return len(rows)

    return _repeat(step), attempts


def _remember(session: Session, rows: Sequence[Any]) -> None:
    """Note up to when deliveries were pruned, so that no backfill gives them again."""
    latest: dict[tuple[str, str], datetime] = {}
    for row in rows:
        key = row.subscription, row.type
        latest[key] = max(row.relayed_at, latest.get(key, row.relayed_at))
    for (subscription, event_type), until in sorted(latest.items()):
        key_of_row = {"subscription": subscription, "event_type": event_type}
        insert_if_absent(session, Pruning, key_of_row | {"until": until})
        here = and_(Pruning.subscription == subscription, Pruning.event_type == event_type)
        session.execute(update(Pruning).where(here, Pruning.until < until).values(until=until))


def was_pruned(subscription: str) -> ColumnElement[bool]:
    """Select events of the log whose delivery to `subscription` may have been pruned."""
    return exists().where(
        Pruning.subscription == subscription,
        Pruning.event_type == LogEntry.type,
        Pruning.until >= LogEntry.relayed_at,
    )
