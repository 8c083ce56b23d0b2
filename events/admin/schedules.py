"""Schedules for operators: the entries with their due times and troubles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import clock
from events.schedule_tables import ScheduleRow


@dataclass(frozen=True)
class ScheduleLine:
    """An entry as the relay has it; `trouble` is empty if there is none."""

    name: str
    due: str
    missed: str
    event_type: str
    next_due_at: datetime
    last_due_at: datetime | None
    trouble: str


def listed(session: Session) -> Sequence[ScheduleLine]:
    """Return all entries, those that are due next first."""
    rows = session.scalars(select(ScheduleRow).order_by(ScheduleRow.next_due_at, ScheduleRow.name))
    return [_line(row) for row in rows]


def _line(row: ScheduleRow) -> ScheduleLine:
    return ScheduleLine(
        name=row.name,
        due=str(row.timing),
        missed=row.missed,
        event_type=row.event_type,
        next_due_at=row.next_due_at,
        last_due_at=row.last_due_at,
        trouble=_trouble(row),
    )


def _trouble(row: ScheduleRow) -> str:
    if row.error:
        return f"{row.error}; nothing is published until its function is mended"
    if row.next_due_at > row.timing.next_after(clock.now()):
        return (
            "the clock went back, and what was published is not published again; "
            "to begin anew before that time, give the entry another name"
        )
    return ""
