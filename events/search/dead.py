"""The search of dead letters, by the same syntax."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, literal, select, tuple_
from sqlalchemy.orm import Session

from events.admin import dead_letters
from events.admin.dead_letters import DeadLetterView
from events.errors import UnknownDelivery
from events.search import conditions
from events.search.find import WINDOW, Found
from events.search.query import Query
from events.selection import Selection, parse
from events.tables import Delivery, LogEntry

MAX_EVENTS = 1000  # of one subject, correlation or id
Cursor = tuple[datetime, str]
_ORDER = (Delivery.died_at, Delivery.event_id, Delivery.subscription)


def search(
    session: Session,
    query: Query,
    *,
    before: Cursor | None = None,
    limit: int = 100,
    queue: str | None = None,
    subscription: str | None = None,
    fingerprint: str | None = None,
) -> Found[DeadLetterView, Cursor]:
    """Return the dead letters that match, the latest death first.

    The filters are those of `dead_letters.listed`; `since` and `until` are times of death.
    """
    which = Selection(
        queue=_both(queue, query.value("queue")),
        subscription=_both(subscription, query.value("subscription")),
        fingerprint=_both(fingerprint, query.value("fingerprint")),
    )
    where = [dead_letters.selected(session, which), *_of_deaths(query)]
    low, searched = None, None
    ids = _events_by_index(session, query)
    if ids is not None:
        where.append(Delivery.event_id.in_(ids))
    elif _reads_rows(query):
        low, searched = _window(session, where, before)
    in_window = [tuple_(*_ORDER) >= tuple_(literal(low[0]), *parse(low[1]))] if low else []
    rows = dead_letters.listed(
        session,
        limit=limit + 1,
        before=before,
        where=[*where, *in_window, *_of_rows(session, query)],
    )
    if len(rows) > limit:
        return Found(rows[:limit], _cursor(rows[limit - 1]))
    total = dead_letters.count(session, **which) if low else None
    return Found(rows, low, searched, total, "dead letters")


def written(before: Cursor) -> str:
    """Return a cursor as text, for an address."""
    return f"{before[0].isoformat()}_{before[1]}"


def cursor(text: str) -> Cursor:
    """Return the cursor that is written in `text`. Raises `ValueError`."""
    died_at, _, delivery_id = text.partition("_")
    try:
        parse(delivery_id)
        return datetime.fromisoformat(died_at).astimezone(UTC), delivery_id
    except (ValueError, OverflowError, UnknownDelivery):
        raise ValueError("use the cursor of the page before") from None


def _both(given: str | None, sought: str | None) -> str | None:
    """Return the one value; two that differ select nothing."""
    if given is not None and sought is not None and given != sought:
        return ""
    return given if sought is None else sought


def _of_deaths(query: Query) -> list[ColumnElement[bool]]:
    since, until = query.value("since"), query.value("until")
    found = [Delivery.died_at >= since] if since else []
    return [*found, Delivery.died_at < until] if until else found


def _reads_rows(query: Query) -> bool:
    return any(each.name in ("type", "user", "tenant", "data", "error") for each in query.terms)


def _of_rows(session: Session, query: Query) -> list[ColumnElement[bool]]:
    return [
        *conditions.indexed(query),
        *conditions.read_of_rows(session, query),
        *conditions.errors_of_delivery(query),
    ]


def _events_by_index(session: Session, query: Query) -> Sequence[UUID] | None:
    """Return the ids of the few events that are named, `None` if the query names none."""
    if not any(query.value(name) for name in ("subject", "correlation", "id")):
        return None
    wanted = select(LogEntry.id).where(*conditions.indexed(query))
    return session.scalars(wanted.order_by(LogEntry.position.desc()).limit(MAX_EVENTS)).all()


def _window(
    session: Session, conditions: list[ColumnElement[bool]], before: Cursor | None
) -> tuple[Cursor | None, int | None]:
    """Return the last dead letter of the window and its size; `None` if it has all of them."""
    chosen = and_(*conditions)
    if before is not None:
        chosen = and_(chosen, tuple_(*_ORDER) < tuple_(literal(before[0]), *parse(before[1])))
    latest_first = [column.desc() for column in _ORDER]
    wanted = select(*_ORDER).where(chosen).order_by(*latest_first)
    row = session.execute(wanted.offset(WINDOW - 1).limit(1)).one_or_none()
    if row is None:
        return None, None
    return (row.died_at, f"{row.event_id}:{row.subscription}"), WINDOW


def _cursor(letter: DeadLetterView) -> Cursor:
    return letter.died_at, letter.id
