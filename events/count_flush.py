"""The flush of the counts: every few seconds, and when a process ends.

A process that is killed loses the counts of its last interval, and never a delivery.
"""

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from events import clock, counts
from events.count_tables import MINUTES
from events.counts import Late, minute_of
from events.database import reading, relaxed
from events.db_errors import describe_error
from events.replays.tables import REPLAYED

logger = structlog.get_logger("tidings.counts")

INTERVAL = 5.0  # seconds between two flushes
RETENTION = timedelta(days=1)
_LOOKED_UP = 500  # late deliveries in one query

_pruned_in = 0  # the hour


def flush() -> None:
    """Write what this process counted since the last flush; nothing if it counted nothing.

    Raises the error of the database; the counts are kept for the next flush.
    """
    numbers, late = counts.take()
    if not numbers and not late:
        return
    try:
        waits = list(_waits(late))
        for each, seconds in waits:
            counts.add_handled(numbers, each.subscription, each.handled_at, seconds)
        late = []
        with relaxed() as session:
            counts.write(session, numbers)
            _prune(session)
    except BaseException:
        counts.put_back(numbers, late)
        raise


def flush_or_log() -> None:
    """Flush; log it if the database refuses."""
    try:
        flush()
    except SQLAlchemyError as error:
        logger.warning("counts.not_written", detail=describe_error(error))


def flush_regularly() -> None:
    """Begin to count and to flush in a process that has no loop of its own: a child of a pool."""
    counts.reset()
    threading.Thread(target=_flush_for_ever, name="counts", daemon=True).start()


def _flush_for_ever() -> None:
    never = threading.Event()
    while not never.wait(INTERVAL):
        flush_or_log()


def _prune(session: Session) -> None:
    """Remove the minutes of former days, once an hour."""
    global _pruned_in
    now = clock.now()
    if (hour := minute_of(now) // 60) != _pruned_in:
        session.execute(delete(MINUTES).where(MINUTES.c.minute < minute_of(now - RETENTION)))
        _pruned_in = hour


def _waits(late: Sequence[Late]) -> Iterator[tuple[Late, float]]:
    """Yield how long each has waited, a replayed one since it was given back."""
    for start in range(0, len(late), _LOOKED_UP):
        part = late[start : start + _LOOKED_UP]
        given_back = _given_back([each.event_id for each in part])
        for each in part:
            since = given_back.get((each.event_id, each.subscription))
            if since is None or since > each.handled_at:
                yield each, each.seconds
            else:
                yield each, (each.handled_at - since).total_seconds()


def _given_back(ids: Sequence[UUID]) -> dict[tuple[UUID, str], datetime]:
    columns, key = REPLAYED.c, (REPLAYED.c.event_id, REPLAYED.c.subscription)
    latest = select(*key, func.max(columns.released_at)).where(columns.event_id.in_(ids))
    with reading() as session:
        return {(row[0], row[1]): row[2] for row in session.execute(latest.group_by(*key))}
