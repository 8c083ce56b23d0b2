"""Retention: remove old rows of the ledger. Events stay unless that is asked for.

Pruned deliveries are not given out again: for each subscription and event type the time is kept up
to which deliveries were removed, and a backfill begins after it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session, aliased

from events import ledger
from events.admin import audit_chain
from events.admin.audit import Act
from events.admin.slices import MAX_ROWS, Progress, Stage, carry_out
from events.audit_tables import AuditEntry
from events.database import reading, transaction
from events.ledger import IS_DEAD, IS_DONE, State
from events.orm import insert_if_absent
from events.tables import Attempt, Delivery, InvalidMessageRow, LogEntry, Pruning


@dataclass(frozen=True)
class Limits:
    """The moments before which rows are removed; `None` keeps them for ever.

    `dead` is for dead letters, discarded deliveries and invalid messages, `done` for handled
    deliveries, `events` for events whose whole subject is older and has no delivery left, `audit`
    for the lines of the audit.
    """

    dead: datetime
    done: datetime | None = None
    events: datetime | None = None
    audit: datetime | None = None

    def __str__(self) -> str:
        limits = {
            "dead letters and invalid messages": self.dead,
            "handled deliveries": self.done,
            "events": self.events,
            "audit": self.audit,
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
    audit: int = 0


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
            audit=rows(AuditEntry, AuditEntry.at < limits.audit) if limits.audit else 0,
        )


def prune(
    limits: Limits,
    *,
    who: str,
    why: str,
    progress: Progress | None = None,
    at_once: int = MAX_ROWS,
) -> Counts:
    """Remove the rows that are older than `limits`, and record it in the audit.

    Done in slices; run again after a failure it goes on. Raises `ReasonMissing`.
    """
    act = Act(who, "prune", str(limits), why)
    counts: Counter[str] = Counter()
    carry_out(act, list(_stages(limits, counts)), progress=progress, at_once=at_once)
    if act.line is None:
        with transaction() as session:
            act.record(session, 0, ends=True)
    return Counts(**counts)


def _stages(limits: Limits, counts: Counter[str]) -> Iterator[Stage]:
    """Yield the stages in which rows are removed; each counts them under the name in `Counts`."""
    for name, old in (("dead_letters", _dead(limits)), ("done", _done(limits))):
        attempts = _removing(Attempt.id, exists().where(_of_attempt(), old))
        yield attempts.counted(counts, "attempts")
        yield _removing_deliveries(old).counted(counts, name)
    old_messages = InvalidMessageRow.at < limits.dead
    yield _removing(InvalidMessageRow.id, old_messages).counted(counts, "invalid_messages")
    yield _removing(LogEntry.position, _is_over(limits)).counted(counts, "events")
    if limits.audit is not None:
        yield _removing_audit(limits.audit).counted(counts, "audit")


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


def _removing(key: Any, where: ColumnElement[bool]) -> Stage:
    def remove(session: Session, keys: Sequence[Any], _: Any) -> int:
        gone = delete_from(key.class_).where(key.in_(keys), where)
        done = session.execute(gone, execution_options={"synchronize_session": False})
        return int(done.rowcount)  # type: ignore[attr-defined]  # a cursor's result

    wanted = select(key).where(where)
    return Stage(lambda session, limit: session.scalars(wanted.limit(limit)).all(), remove)


def _removing_deliveries(where: ColumnElement[bool]) -> Stage:
    wanted = select(Delivery.subscription, Delivery.event_id).where(where)

    def remove(session: Session, found: Sequence[Any], _: Any) -> int:
        names = select(Delivery.subscription, Delivery.event_id, LogEntry.type, LogEntry.relayed_at)
        joined = names.join(LogEntry, LogEntry.id == Delivery.event_id)
        locked = joined.where(ledger.these(map(tuple, found)), where)
        rows = session.execute(locked.with_for_update(of=Delivery, skip_locked=True)).all()
        keys = [(row.subscription, row.event_id) for row in rows]
        theirs = exists().where(_of_attempt(), ledger.these(keys))
        new = and_(Attempt.event_id.in_([event_id for _, event_id in keys]), theirs)
        session.execute(delete_from(Attempt).where(new))  # those written since the stage before
        ledger.prune(session, keys)
        _remember(session, rows)
        return len(rows)

    return Stage(lambda session, limit: session.execute(wanted.limit(limit)).all(), remove)


def _removing_audit(before: datetime) -> Stage:
    """Remove the oldest lines, up to the first that is younger: the rest stays one chain."""
    younger = select(func.min(AuditEntry.id)).where(AuditEntry.at >= before).scalar_subquery()
    last = select(func.max(AuditEntry.id)).scalar_subquery()
    wanted = select(AuditEntry.id).where(AuditEntry.id < func.coalesce(younger, last))

    def remove(session: Session, ids: Sequence[int], noted: dict[str, Any]) -> int:
        if anchor := audit_chain.remove_oldest(session, ids):
            noted[audit_chain.ANCHOR] = anchor
        return len(ids) if anchor else 0

    in_order = wanted.order_by(AuditEntry.id)
    return Stage(lambda session, limit: session.scalars(in_order.limit(limit)).all(), remove)


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
