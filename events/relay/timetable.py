"""The relay's timetable: publishes the events of schedules that are due, each due time once."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import clock, log
from events.attempts import Failure
from events.database import reading, transaction
from events.event import Event
from events.new_entries import new_entry
from events.orm import insert_if_absent
from events.schedule_tables import ScheduleRow
from events.schedules import Missed, Schedule, registered

logger = structlog.get_logger("tidings.relay")

BATCH = 100  # missed times in one transaction
SKIP_AFTER = timedelta(minutes=1)  # a due time that is later than this was missed
RETRY_DELAY = timedelta(minutes=1)  # after an error of an entry's function


class Timetable:
    """The entries of this process and the next due time of each, as the database has it.

    It asks the database only if the process has entries.
    """

    def __init__(self, entries: Mapping[str, Schedule] | None = None) -> None:
        self._entries = registered() if entries is None else entries
        self._is_registered = False
        self._next: dict[str, datetime] = {}
        self._retry_at: dict[str, datetime] = {}

    @property
    def next_at(self) -> datetime | None:
        """The time at which an entry is due next."""
        due = (max(at, self._retry_at.get(name, at)) for name, at in self._next.items())
        return min(due, default=None)

    def refresh(self) -> None:
        """Read the due times, which another relay may have moved; write new and changed entries."""
        if not self._entries:
            return
        if not self._is_registered:
            with transaction() as session:
                register(session, self._entries.values())
            self._is_registered = True
        with reading() as session:
            rows = session.scalars(select(ScheduleRow).where(ScheduleRow.name.in_(self._entries)))
            self._next = {row.name: row.next_due_at for row in rows if self._is_ours(row)}

    def publish_due(self) -> int:
        """Publish what is due; return the number of events."""
        now = clock.now()
        if self.next_at is None or self.next_at > now:
            return 0
        names = [name for name in self._next if self._retry_at.get(name, now) <= now]
        due = (
            select(ScheduleRow)
            .where(ScheduleRow.name.in_(names), ScheduleRow.next_due_at <= now)
            .order_by(ScheduleRow.name)
            .with_for_update(skip_locked=True)
        )
        with transaction() as session:
            rows = [row for row in session.scalars(due) if self._is_ours(row)]
            published = sum(self._publish(session, row, now) for row in rows)
        self.refresh()
        return published

    def _is_ours(self, row: ScheduleRow) -> bool:
        """Tell whether this process has the entry as the row has it: two versions may run."""
        return self._entries[row.name].timing == row.timing

    def _publish(self, session: Session, row: ScheduleRow, now: datetime) -> int:
        entry = self._entries[row.name]
        times = _times_to_publish(entry, row.next_due_at, now)
        try:
            entries = [new_entry(_made(entry, at), subject=row.name, at=at) for at in times]
        except Exception as error:  # it is the application's function; the relay must go on
            self._note_failure(row, error, now)
            return 0
        log.append(session, entries)
        passed = times[-1] if entry.missed == Missed.ALL else now
        row.next_due_at = entry.timing.next_after(passed)
        row.last_due_at = times[-1] if times else row.last_due_at
        row.error = None
        return len(entries)

    def _note_failure(self, row: ScheduleRow, error: Exception, now: datetime) -> None:
        failure = Failure(error, worker="", started_at=now).fingerprint
        self._retry_at[row.name] = now + RETRY_DELAY
        if row.error != failure:
            row.error = failure
            logger.error("schedule.failed", schedule=row.name, error=failure)


def register(session: Session, entries: Iterable[Schedule]) -> None:
    """Write the entries. One whose times have changed is due after the last that was published."""
    now = clock.now()
    for entry in sorted(entries, key=lambda each: each.name):
        timing = entry.timing
        values = {
            "cron": timing.cron,
            "every": timing.every.total_seconds() if timing.every else None,
            "timezone": timing.timezone,
            "missed": entry.missed.value,
            "event_type": entry.event_class.type,
        }
        first = {"name": entry.name, "next_due_at": timing.next_after(now)}
        insert_if_absent(session, ScheduleRow, values | first)
        row = session.get_one(ScheduleRow, entry.name, with_for_update=True)
        if row.timing != timing:
            row.next_due_at = timing.next_after(max(now, row.last_due_at or now))
        for name, value in values.items():
            setattr(row, name, value)


def _times_to_publish(entry: Schedule, first: datetime, now: datetime) -> list[datetime]:
    if entry.missed == Missed.ALL:
        return list(islice(entry.timing.between(first, now), BATCH))
    latest = max(first, entry.timing.latest(now))
    is_missed = entry.missed == Missed.SKIP and now - latest > SKIP_AFTER
    return [] if is_missed else [latest]


def _made(entry: Schedule, due_at: datetime) -> Event:
    event = entry.make(due_at)
    if type(event) is not entry.event_class:
        raise TypeError(f"{entry.name} returned no {entry.event_class.__name__}")
    return event
