"""Dead letters: deliveries that no retry saved. They are looked at, replayed or discarded; each act is audited."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from events import clock, log
from events.admin import audit
from events.errors import UnknownDelivery
from events.tables import IS_DEAD, Attempt, Delivery, LogEntry


@dataclass(frozen=True)
class DeadLetterView:
    """One dead letter, with what it was about."""

    id: str
    subscription: str
    queue: str
    event_id: UUID
    event_type: str
    event_version: int
    subject: str | None
    attempts: int
    error: str
    fingerprint: str
    died_at: datetime


@dataclass(frozen=True)
class Group:
    """Dead letters of one cause: one fingerprint in one subscription on one type of event."""

    fingerprint: str
    queue: str
    subscription: str
    event_type: str
    error: str
    count: int
    first: datetime
    last: datetime


def listed(
    session: Session,
    *,
    queue: str | None = None,
    subscription: str | None = None,
    fingerprint: str | None = None,
    limit: int = 100,
) -> list[DeadLetterView]:
    """The dead letters that fit, the latest death first."""
    chosen = _chosen({"queue": queue, "subscription": subscription, "fingerprint": fingerprint})
    return _views(session, _joined().where(chosen).order_by(Delivery.died_at.desc()).limit(limit))


def groups(session: Session) -> list[Group]:
    """All dead letters by cause, the largest group first."""
    rows = session.execute(
        select(
            Delivery.fingerprint,
            Delivery.queue,
            Delivery.subscription,
            LogEntry.type,
            func.max(Delivery.error),
            func.count().label("count"),
            func.min(func.coalesce(Delivery.died_at, Delivery.due_at)),
            func.max(func.coalesce(Delivery.died_at, Delivery.due_at)),
        )
        .join(LogEntry, LogEntry.id == Delivery.event_id)
        .where(IS_DEAD)
        .group_by(Delivery.fingerprint, Delivery.queue, Delivery.subscription, LogEntry.type)
        .order_by(func.count().desc())
    )
    return [
        Group(cause or "", queue, name, type, error or "", count, first, last)
        for cause, queue, name, type, error, count, first, last in rows
    ]


def count(session: Session, *, queue: str | None = None) -> int:
    """How many dead letters there are, of all queues or of one."""
    return (
        session.scalar(select(func.count()).select_from(Delivery).where(_chosen({"queue": queue})))
        or 0
    )


def show(session: Session, id: str) -> DeadLetterView:
    """One dead letter. Raises `UnknownDelivery`."""
    found = _views(session, _joined().where(_chosen({"ids": [id]})))
    if not found:
        raise UnknownDelivery(id)
    return found[0]


def attempts(session: Session, id: str) -> Sequence[Attempt]:
    """Every failed try of a delivery, the first one first. Raises `UnknownDelivery` if `id` is none."""
    event_id, subscription = parse(id)
    return session.scalars(
        select(Attempt)
        .where(Attempt.event_id == event_id, Attempt.subscription == subscription)
        .order_by(Attempt.id)
    ).all()


class Which(TypedDict, total=False):
    """Which dead letters: by id, or all that fit every filter; really all of them only by `everything`."""

    ids: Collection[str] | None
    queue: str | None
    subscription: str | None
    fingerprint: str | None
    everything: bool


def replay(session: Session, *, who: str, why: str = "", **which: Unpack[Which]) -> int:
    """Send dead letters again, with all their tries before them; returns how many.

    Their events keep their context, and a call to the world keeps its idempotency key. Raises `ValueError` when nothing
    says which ones, `UnknownDelivery` when an id is no dead letter's.
    """
    fresh = {
        "state": "retrying",
        "attempts": 0,
        "due_at": clock.now(),
        "sent_at": None,
        "died_at": None,
        "lost_count": 0,
        "unfinished_starts": 0,
    }
    replayed = _settle(session, which, fresh, who=who, action="replay", why=why)
    log.wake(session)
    return replayed


def discard(session: Session, *, who: str, why: str = "", **which: Unpack[Which]) -> int:
    """Give dead letters up; their rows and events stay. Returns how many. Raises as `replay` does."""
    return _settle(
        session,
        which,
        {"state": "discarded", "done_at": clock.now()},
        who=who,
        action="discard",
        why=why,
    )


def parse(id: str) -> tuple[UUID, str]:
    """A delivery's event and subscription from its id. Raises `UnknownDelivery`."""
    event_id, _, subscription = id.partition(":")
    try:
        if (
            subscription.isprintable()
        ):  # what is not, NUL above all, is no name, and PostgreSQL refuses to look for it
            return UUID(event_id), subscription
    except ValueError:
        pass
    raise UnknownDelivery(id)


def _filters(which: Which) -> list[ColumnElement[bool]]:
    values = (
        (Delivery.queue, which.get("queue")),
        (Delivery.subscription, which.get("subscription")),
    )
    return [
        column == value
        for column, value in (*values, (Delivery.fingerprint, which.get("fingerprint")))
        if value is not None
    ]


def _chosen(which: Which) -> ColumnElement[bool]:
    ids = which.get("ids")
    named = [
        and_(Delivery.event_id == event, Delivery.subscription == name)
        for event, name in map(parse, ids or ())
    ]
    return and_(IS_DEAD, *_filters(which), *([or_(False, *named)] if ids is not None else []))


def _settle(
    session: Session, which: Which, values: dict[str, Any], *, who: str, action: str, why: str
) -> int:
    ids = which.get("ids")
    if ids is None and not any(which.values()):
        raise ValueError(
            "say which dead letters: ids, a queue, a subscription, a fingerprint, or everything=True"
        )
    for id in ids or ():
        show(session, id)
    rows = session.scalars(
        update(Delivery).where(_chosen(which)).values(**values).returning(Delivery)
    ).all()
    for row in rows:
        audit.record(session, who=who, action=action, target=row.id, why=why)
    return len(rows)


def _joined() -> Any:
    return select(Delivery, LogEntry.type, LogEntry.version, LogEntry.subject).join(
        LogEntry, LogEntry.id == Delivery.event_id
    )


def _views(session: Session, query: Any) -> list[DeadLetterView]:
    return [_view(*row) for row in session.execute(query)]


def _view(row: Delivery, type: str, version: int, subject: str | None) -> DeadLetterView:
    return DeadLetterView(
        id=row.id,
        subscription=row.subscription,
        queue=row.queue,
        event_id=row.event_id,
        event_type=type,
        event_version=version,
        subject=subject,
        attempts=row.attempts,
        error=row.error or "",
        fingerprint=row.fingerprint or "",
        died_at=row.died_at or row.due_at,
    )
