"""The event log: `publish` appends to it inside the caller's transaction; nothing is sent here."""

import weakref
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session

from events import clock, gathered
from events.dialects import DIALECTS, dialect_of
from events.due_times import due_time
from events.envelope import Actor, Envelope
from events.errors import PublishError, ScheduleError
from events.event import Event
from events.new_entries import new_entry
from events.orm import table_of
from events.tables import EVENTS, LogEntry, ScheduledEvent

MAX_KEY = 200  # characters of the key of a scheduled event
_SCHEDULED = table_of(ScheduledEvent)
CHANNEL = "tidings"  # of PostgreSQL's LISTEN and NOTIFY
_WOKEN = "tidings.woken"  # the transaction of a session that wakes the relay already


def publish(
    session: Session,
    *events: Event,
    subject: str | None = None,
    at: datetime | None = None,
    key: str | None = None,
) -> list[UUID]:
    """Append events to the log in the caller's transaction and return their ids, in order.

    Actor, correlation and cause are taken from the current context. `subject` names the thing that
    the events are about; it defaults to the cause's subject. Events with a time `at` that lies
    ahead are appended then. Under its `key` such an event can be cancelled or rescheduled until
    then; see `events.scheduled`. Raises `ScheduleError` and `PublishError`.
    """
    at = None if at is None else due_time(at, "at")
    rows = [new_entry(event, subject=subject, at=at) for event in events]
    if key is None and (at is None or at <= clock.now()):
        append(session, rows)
    else:
        _schedule(session, rows, at, key)
    return [row["id"] for row in rows]


def _schedule(
    session: Session, rows: Sequence[dict[str, Any]], at: datetime | None, key: str | None
) -> None:
    if key is not None and (at is None or len(rows) != 1):
        raise ScheduleError(
            f"key {key!r} belongs to one event with a time: publish(..., at=, key=)"
        )
    if key is not None:
        check_key(key)
    require_transaction(session)
    insert = _insert_scheduled(dialect_of(session).name)
    for row in rows:
        values = {name: value for name, value in row.items() if name != "relayed_at"}
        values["key"] = str(row["id"]) if key is None else key
        if session.scalar(insert, values) is None:
            raise ScheduleError(
                f"key {key!r} is that of an event which waits already; reschedule it, or cancel it "
                "first"
            )
    wake(session)


def require_transaction(session: Session) -> None:
    """Raise `PublishError` if what the session writes is committed whatever follows."""
    if dialect_of(session).is_autocommitting(session):
        raise PublishError(
            "this session has no transaction: each of its statements is committed by itself "
            "(autocommit, as with events.reading()); use events.transaction(), or your own"
        )


def check_key(key: Any) -> None:
    """Raise `ScheduleError` unless an event may wait under this key."""
    if not (isinstance(key, str) and 0 < len(key) <= MAX_KEY and key.isprintable()):
        raise ScheduleError(f"key {str(key)[:50]!r} is no line of 1 to {MAX_KEY} characters")


@cache
def _insert_scheduled(dialect: str) -> Any:
    insert = DIALECTS[dialect].insert(_SCHEDULED).on_conflict_do_nothing()
    return insert.returning(_SCHEDULED.c.key)


def append(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Append entries, as `events.new_entries` makes them, and wake the relay."""
    if rows:
        gathered.insert_rows(session, _insert_entries, rows)


def _insert_entries(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    require_transaction(session)
    notify = "" if _is_woken(session) else CHANNEL  # with the rows: no round trip of its own
    dialect_of(session).insert_rows(session, EVENTS, rows, notify=notify)
    note_woken(session)


def wake(session: Session) -> None:
    """Wake the relay when this transaction commits; on SQLite it watches the file.

    Once for each transaction: on PostgreSQL it is a round trip. A savepoint may be rolled back,
    and the notification with it, so one that is sent within it does not count.
    """
    if not _is_woken(session):
        dialect_of(session).notify(session, CHANNEL)
        note_woken(session)


def note_woken(session: Session) -> None:
    """Remember that a statement of this transaction has woken the relay."""
    if not session.in_nested_transaction() and (own := session.get_transaction()):
        session.info[_WOKEN] = weakref.ref(own)


def _is_woken(session: Session) -> bool:
    earlier, own = session.info.get(_WOKEN), session.get_transaction()
    return earlier is not None and own is not None and earlier() is own


# The columns of an envelope: quicker to read than the whole entity.
COLUMNS = (
    EVENTS.c.id,
    EVENTS.c.type,
    EVENTS.c.version,
    EVENTS.c.source,
    EVENTS.c.time,
    EVENTS.c.subject,
    EVENTS.c.correlation_id,
    EVENTS.c.causation_id,
    EVENTS.c.actor,
    EVENTS.c.traceparent,
    EVENTS.c.data,
)


def envelope(entry: LogEntry | Row[*tuple[Any, ...]]) -> Envelope:
    """Make the envelope of a row of the log, an entity or its `COLUMNS`."""
    return Envelope(
        id=entry.id,
        type=entry.type,
        version=entry.version,
        source=entry.source,
        time=entry.time,
        subject=entry.subject,
        correlation_id=entry.correlation_id,
        causation_id=entry.causation_id,
        actor=Actor(**entry.actor),
        traceparent=entry.traceparent,
        data=entry.data,
    )


def read(session: Session, ids: Collection[UUID]) -> list[Envelope]:
    """Return the envelopes with these ids, oldest position first; missing ones are left out."""
    rows = session.scalars(select(LogEntry).where(LogEntry.id.in_(ids)).order_by(LogEntry.position))
    return [envelope(row) for row in rows]


_ABOUT = (
    select(*COLUMNS)
    .where(EVENTS.c.subject.in_(bindparam("subjects", expanding=True)))
    .order_by(EVENTS.c.position)
)
_ABOUT_OF_TYPE = _ABOUT.where(EVENTS.c.type == bindparam("event_type"))


def about(session: Session, *subjects: str, event_type: str | None = None) -> Sequence[Envelope]:
    """Return every envelope about these subjects, of one event type if given, oldest first."""
    statement, values = _ABOUT, dict[str, Any](subjects=subjects)
    if event_type is not None:
        statement, values = _ABOUT_OF_TYPE, values | {"event_type": event_type}
    return [envelope(row) for row in session.execute(statement, values)]


def listed(
    session: Session,
    *,
    event_type: str | None = None,
    subject: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[LogEntry]:
    """Return the latest entries of a type, about a subject, below a position, newest first."""
    wanted = select(LogEntry).order_by(LogEntry.position.desc()).limit(limit)
    for column, value in ((LogEntry.type, event_type), (LogEntry.subject, subject)):
        wanted = wanted.where(column == value) if value else wanted
    return list(
        session.scalars(wanted.where(LogEntry.position < before) if before is not None else wanted)
    )
