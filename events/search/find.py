"""The search itself: by an index, or through a window of the newest rows, and then it says so."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from events.search import conditions
from events.search.query import Query
from events.tables import LogEntry

WINDOW = 10_000  # rows that one search reads
# An event gets its position when it is written and its time a little before, on any machine.
_SKEW = timedelta(minutes=5)

Row = TypeVar("Row")
Cursor = TypeVar("Cursor")


@dataclass(frozen=True)
class Found(Generic[Row, Cursor]):
    """The rows that were found, newest first, and where the search goes on.

    `older` is the cursor of the next page. `searched` is the number of rows that were read if there
    are more, of which it is `total` that there are, if that is known.
    """

    rows: Sequence[Row]
    older: Cursor | None = None
    searched: int | None = None
    total: int | None = None
    what: str = "events"

    @property
    def note(self) -> str:
        """The part that was searched, in words; empty if it was all."""
        if self.searched is None:
            return ""
        of = f" of about {self.total:,}" if self.total is not None else ""
        return f"searched the newest {self.searched:,}{of} {self.what}; older ones are not searched"


def events(
    session: Session, query: Query, *, before: int | None = None, limit: int = 50
) -> Found[LogEntry, int]:
    """Return the events that match, newest first, below the position `before`."""
    bounds = _bounds(session, query, before)
    by_index = [*conditions.indexed(query), *bounds]
    by_row = [
        *conditions.read_of_rows(session, query),
        *conditions.errors_of_event(query),
        *_times(query),
    ]
    low, searched = _window(session, by_index) if by_row else (None, None)
    in_window = [LogEntry.position >= low] if low is not None else []
    wanted = select(LogEntry).where(*by_index, *in_window, *by_row)
    rows = session.scalars(wanted.order_by(LogEntry.position.desc()).limit(limit + 1)).all()
    if len(rows) > limit:
        return Found(rows[:limit], rows[limit - 1].position)
    if low is None:
        return Found(rows)
    total = None if conditions.indexed(query) else _span(session, bounds)
    what = "events that an index finds by the rest of the query" if total is None else "events"
    return Found(rows, low, searched, total, what)


def _times(query: Query) -> list[ColumnElement[bool]]:
    since, until = query.value("since"), query.value("until")
    found = [LogEntry.time >= since] if since else []
    return [*found, LogEntry.time < until] if until else found


def _bounds(session: Session, query: Query, before: int | None) -> list[ColumnElement[bool]]:
    """Return the positions between which the times of the query lie, and the page."""
    found = [LogEntry.position < before] if before is not None else []
    if since := query.value("since"):
        found.append(LogEntry.position >= _position_at(session, since, -_SKEW))
    if until := query.value("until"):
        found.append(LogEntry.position < _position_at(session, until, _SKEW))
    return found


def _position_at(session: Session, at: datetime, skew: timedelta) -> int:
    """Return the first position whose event is not older, by bisection."""
    with suppress(OverflowError):  # the first or the last moment that there is
        at += skew
    low, high = _ends(session)
    while low < high:
        middle = (low + high) // 2
        row = session.execute(
            select(LogEntry.position, LogEntry.time)
            .where(LogEntry.position >= middle)
            .order_by(LogEntry.position)
            .limit(1)
        ).one_or_none()
        if row is None or row.time >= at:
            high = middle
        else:
            low = row.position + 1
    return low


def _ends(session: Session) -> tuple[int, int]:
    """Return the first position, and the one after the last."""
    first = session.scalar(select(func.min(LogEntry.position))) or 0
    last = session.scalar(select(func.max(LogEntry.position))) or 0
    return first, last + 1


def _window(session: Session, by_index: list[ColumnElement[bool]]) -> tuple[Any, int | None]:
    """Return the lowest position of the window and its size; `None` if it has all rows."""
    positions = select(LogEntry.position).where(*by_index).order_by(LogEntry.position.desc())
    low = session.scalar(positions.offset(WINDOW - 1).limit(1))
    return low, WINDOW if low is not None else None


def _span(session: Session, bounds: list[ColumnElement[bool]]) -> int:
    """Return about how many events there are: positions are rarely left out."""
    first = session.scalar(
        select(LogEntry.position).where(*bounds).order_by(LogEntry.position).limit(1)
    )
    last = session.scalar(
        select(LogEntry.position).where(*bounds).order_by(LogEntry.position.desc()).limit(1)
    )
    return last - first + 1 if first is not None and last is not None else 0
