"""Dead letters, the deliveries that no retry saved: list, count, discard.

They are replayed by `events.admin.replays`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Unpack
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from events import ledger
from events.admin.audit import Act
from events.admin.slices import Progress, Stage, carry_out
from events.database import reading
from events.errors import TidingsError, UnknownDelivery
from events.ledger import DEAD_BY_KEY, IS_DEAD
from events.orm import UTCDateTime
from events.selection import Selection, matching, named, parse
from events.tables import Attempt, Delivery, LogEntry


class NothingToDiscard(TidingsError):
    """No dead letter matches the selection."""

    def __init__(self) -> None:
        super().__init__("no dead letter is selected by this; nothing was changed")


@dataclass(frozen=True)
class DeadLetterView:
    """One dead letter, with its event's type and subject."""

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
    """Dead letters of one cause: one fingerprint in one subscription.

    `event_type` and `error` are those of the latest death.
    """

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
    ids: Collection[str] | None = None,
    queue: str | None = None,
    subscription: str | None = None,
    fingerprint: str | None = None,
    limit: int = 100,
    before: tuple[datetime, str] | None = None,
    where: Collection[ColumnElement[bool]] = (),
) -> list[DeadLetterView]:
    """Return the dead letters that match, the latest death first.

    `before` is the time of death and the id of the last one on the previous page. `where` are more
    conditions, on a delivery or its event.
    """
    chosen = selected(
        session,
        {"ids": ids, "queue": queue, "subscription": subscription, "fingerprint": fingerprint},
    )
    if before is not None:
        chosen = and_(chosen, tuple_(*_ORDER) < tuple_(literal(before[0]), *parse(before[1])))
    latest_first = [column.desc() for column in _ORDER]
    return _views(session, _joined().where(chosen, *where).order_by(*latest_first).limit(limit))


def selected(session: Session, which: Selection) -> ColumnElement[bool]:
    """Select the dead letters of a list: a queue's by its subscriptions, which have an index."""
    queue = which.get("queue")
    if queue is None or which.get("subscription") is not None or which.get("ids") is not None:
        return matching(which)
    theirs = select(Delivery.subscription).where(IS_DEAD, Delivery.queue == queue).distinct()
    return and_(matching(which), Delivery.subscription.in_(session.scalars(theirs).all()))


def about(session: Session, subject: str) -> list[str]:
    """Return the ids of the dead letters whose events are about `subject`."""
    theirs = select(Delivery).join(LogEntry, LogEntry.id == Delivery.event_id)
    rows = session.scalars(theirs.where(LogEntry.subject == subject, DEAD_BY_KEY)).all()
    return sorted(row.id for row in rows)


_ORDER = (Delivery.died_at, Delivery.event_id, Delivery.subscription)  # one second may have many
_CAUSE = (Delivery.subscription, Delivery.fingerprint)
_LATEST = (
    select(Delivery.error, LogEntry.type)
    .join(LogEntry, LogEntry.id == Delivery.event_id)
    .where(
        IS_DEAD,
        Delivery.subscription == bindparam("subscription"),
        Delivery.fingerprint == bindparam("fingerprint"),
        Delivery.died_at == bindparam("last"),
    )
    .limit(1)
)


def groups(session: Session) -> list[Group]:
    """Return all dead letters by cause, the largest group first.

    The counts are read from an index alone, and one row of each group from the tables: of 100,000
    dead letters no more is read than that.
    """
    last = func.max(Delivery.died_at)
    counted = select(
        *_CAUSE, func.max(Delivery.queue), func.count(), func.min(Delivery.died_at), last
    ).where(IS_DEAD)
    rows = session.execute(counted.group_by(*_CAUSE).order_by(func.count().desc())).all()
    return [_group(session, row) for row in rows]


_FIRST_CAUSE = select(*_CAUSE).where(IS_DEAD).order_by(*_CAUSE).limit(1)
_SAME = Delivery.subscription == bindparam("subscription")
# Two statements: SQLite would compare only the first column of a pair by its index.
_NEXT_CAUSES = (
    _FIRST_CAUSE.where(_SAME, Delivery.fingerprint > bindparam("fingerprint")),
    _FIRST_CAUSE.where(Delivery.subscription > bindparam("subscription")),
)


def count_groups(session: Session) -> int:
    """Return the number of groups: two looks into the index for each, however many died of it."""
    number, found = 0, session.execute(_FIRST_CAUSE).first()
    while found is not None:
        number, last = number + 1, found._asdict()
        rows = (session.execute(each, last).first() for each in _NEXT_CAUSES)
        found = next(filter(None, rows), None)
    return number


def _group(session: Session, row: Row[*tuple[Any, ...]]) -> Group:
    name, cause, queue, number, first, last = tuple(row)
    latest = {"subscription": name, "fingerprint": cause, "last": last}
    error, event_type = session.execute(_LATEST, latest).one()
    return Group(cause, queue, name, event_type, error or "", number, first, last)


def count(session: Session, *, at_most: int | None = None, **which: Unpack[Selection]) -> int:
    """Return the number of dead letters that match; stop counting at `at_most`."""
    found = select(Delivery.state).where(matching(which)).limit(at_most)
    return session.scalar(select(func.count()).select_from(found.subquery())) or 0


def show(session: Session, delivery_id: str) -> DeadLetterView:
    """Return one dead letter. Raises `UnknownDelivery`."""
    found = _views(session, _joined().where(matching({"ids": [delivery_id]})))
    if not found:
        raise UnknownDelivery(delivery_id)
    return found[0]


def attempts(session: Session, delivery_id: str) -> Sequence[Attempt]:
    """Return every failed attempt of a delivery, the first one first.

    Raises `UnknownDelivery` if `delivery_id` has another form.
    """
    event_id, subscription = parse(delivery_id)
    return session.scalars(
        select(Attempt)
        .where(Attempt.event_id == event_id, Attempt.subscription == subscription)
        .order_by(Attempt.id)
    ).all()


def discard(
    *, who: str, why: str, progress: Progress | None = None, **which: Unpack[Selection]
) -> int:
    """Give dead letters up; their rows and events stay. Return their number.

    It is done in slices, in transactions of its own. Raises `ValueError` for an empty selection,
    `UnknownDelivery` when an id is no dead letter's, `ReasonMissing`.
    """
    act = Act(who, "discard", *named(which, why))
    with reading() as session:
        selected = _selected(session, which)
        latest = session.scalar(select(func.max(Delivery.died_at)).where(selected))
    # Those that die from now on are not meant, and would have no end.
    until_now = or_(Delivery.died_at.is_(None), Delivery.died_at <= literal(latest, UTCDateTime()))
    wanted = select(Delivery.subscription, Delivery.event_id).where(selected, until_now)
    stage = Stage(
        lambda session, limit: session.execute(wanted.limit(limit)).all(),
        lambda session, rows, _: ledger.discard(
            session, and_(DEAD_BY_KEY, ledger.these(map(tuple, rows)))
        ),
    )
    return carry_out(act, [stage], progress=progress)


def _selected(session: Session, which: Selection) -> ColumnElement[bool]:
    ids = which.get("ids")
    if ids is None and not any(which.values()):
        raise ValueError(
            "name the dead letters: ids, a queue, a subscription, a fingerprint, or everything=True"
        )
    for delivery_id in ids or ():
        show(session, delivery_id)
    return matching(which)


def _joined() -> Any:
    return select(Delivery, LogEntry.type, LogEntry.version, LogEntry.subject).join(
        LogEntry, LogEntry.id == Delivery.event_id
    )


def _views(session: Session, query: Any) -> list[DeadLetterView]:
    return [_view(*row) for row in session.execute(query)]


def _view(row: Delivery, event_type: str, version: int, subject: str | None) -> DeadLetterView:
    return DeadLetterView(
        id=row.id,
        subscription=row.subscription,
        queue=row.queue,
        event_id=row.event_id,
        event_type=event_type,
        event_version=version,
        subject=subject,
        attempts=row.attempts,
        error=row.error or "",
        fingerprint=row.fingerprint or "",
        died_at=row.died_at or row.due_at,
    )
