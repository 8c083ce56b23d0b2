"""Scheduled events: published at a later time, unless they are cancelled before.

`publish(session, event, at=..., key=...)` inserts the row, and the relay moves it to the log when
it is due. Whoever deletes the row first has decided: an event that was cancelled never fires, and
one that fired can no longer be cancelled.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from events import clock, log
from events.due_times import due_time
from events.orm import table_of
from events.tables import ScheduledEvent

RELEASE_BATCH = 200  # events in one transaction

_TABLE = table_of(ScheduledEvent)
_COLUMNS = [column for column in _TABLE.c if column.name != "key"]
_DUE = (
    select(_TABLE)
    .where(_TABLE.c.publish_at <= bindparam("now"))
    .order_by(_TABLE.c.publish_at)
    .limit(RELEASE_BATCH)
    .with_for_update(skip_locked=True)
)
_DELETE = delete(_TABLE).where(_TABLE.c.key.in_(bindparam("keys", expanding=True)))

_CANCEL = delete(_TABLE).where(_TABLE.c.key == bindparam("of")).returning(_TABLE.c.key)


def cancel(session: Session, key: str) -> bool:
    """Cancel the event that waits under `key`, in the caller's transaction.

    Return false if there is none: it has fired, or was cancelled. Raises `ScheduleError`
    and `PublishError`.
    """
    log.check_key(key)
    log.require_transaction(session)
    return session.scalar(_CANCEL, {"of": key}) is not None


def reschedule(session: Session, key: str, at: datetime) -> bool:
    """Move the event that waits under `key` to another time; false if there is none.

    Raises `ScheduleError` and `PublishError`.
    """
    log.check_key(key)
    log.require_transaction(session)
    moved = update(_TABLE).where(_TABLE.c.key == key).values(publish_at=due_time(at, "at"))
    found = session.scalar(moved.returning(_TABLE.c.key)) is not None
    log.wake(session)
    return found


def due_at(session: Session, key: str) -> datetime | None:
    """Return the time at which the event under `key` fires, if one waits.

    Raises `ScheduleError`.
    """
    log.check_key(key)
    return session.scalar(select(_TABLE.c.publish_at).where(_TABLE.c.key == key))


def listed(session: Session, limit: int = 100) -> Sequence[ScheduledEvent]:
    """Return the events that wait, the next ones first."""
    wanted = select(ScheduledEvent).order_by(ScheduledEvent.publish_at, ScheduledEvent.key)
    return session.scalars(wanted.limit(limit)).all()


def release_due(session: Session) -> int:
    """Move the events that are due to the log; return their number. Relays share the work."""
    now = clock.now()
    due = session.execute(_DUE, {"now": now}).all()
    if due:
        session.execute(_DELETE, {"keys": [row.key for row in due]})
        log.append(session, [_entry(row, now) for row in due])
    return len(due)


def _entry(row: Any, now: datetime) -> dict[str, Any]:
    values = {column.name: getattr(row, column.name) for column in _COLUMNS}
    return values | {"time": now, "relayed_at": None}
