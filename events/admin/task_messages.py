"""Task messages: from the id of a Celery task, as Flower shows it, to its deliveries."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from events.errors import UnknownTaskMessage
from events.tables import Attempt, Delivery, LogEntry

MAX_ROWS = 20_000  # deliveries of any subscription that are read, from the first one on
MAX_AGE_DIFFERENCE = timedelta(seconds=10)  # by which an id may be older than that of the first one
_ID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):([!-9;-~]{1,200}):([0-9]{1,9})")


@dataclass(frozen=True)
class MessageDelivery:
    """A delivery of the message, in its present state, and how its attempt in this one failed."""

    id: str
    event_id: UUID
    event_type: str
    subject: str | None
    state: str
    attempt: int | None
    error: str | None
    again: str | None  # the id of a later task message that it was sent in
    done_at: datetime | None

    @property
    def in_this_task(self) -> str:
        """The outcome of the delivery in this task, in words."""
        if self.error:
            return f"attempt {self.attempt} failed: {self.error}"
        if self.again:
            return "given back, or sent again"
        return "handled" if self.state == "done" else "not settled yet"


@dataclass(frozen=True)
class TaskMessage:
    """A task message with its deliveries; `part` is true if not all rows could be searched."""

    id: str
    subscription: str
    send: int
    deliveries: list[MessageDelivery]
    part: bool


def show(session: Session, task_id: str) -> TaskMessage:
    """Return the task message with this id. Raises `UnknownTaskMessage`."""
    if (message := find(session, task_id)) is None:
        raise UnknownTaskMessage(task_id)
    return message


def find(session: Session, task_id: str) -> TaskMessage | None:
    """Return the task message with this id, or `None` if it is none of a delivery.

    The id names its first delivery; the others have ids that were given after it, and no index
    leads to those that are done, so that only so many rows are read.
    """
    parsed = _ID.fullmatch(task_id)
    if parsed is None:
        return None
    first, name, send = UUID(parsed[1]), parsed[2], int(parsed[3])
    delivery = session.get(Delivery, (first, name))
    if delivery is None or not 0 < send <= delivery.sends:
        return None
    window = session.execute(
        select(Delivery.event_id, Delivery.subscription, Delivery.message)
        .where(Delivery.event_id >= _before(first))
        .order_by(Delivery.event_id, Delivery.subscription)
        .limit(MAX_ROWS)
    ).all()
    failed = _failed(session, name, task_id, window[0].event_id, window[-1].event_id)
    ours = {row.event_id for row in window if (row.subscription, row.message) == (name, task_id)}
    deliveries = _deliveries(session, name, ours | failed.keys() | {first}, failed, task_id)
    return TaskMessage(task_id, name, send, deliveries, part=len(window) == MAX_ROWS)


def _before(first: UUID) -> UUID:
    """Return the lowest id of events that were published `MAX_AGE_DIFFERENCE` before this one."""
    milliseconds = (first.int >> 80) - int(MAX_AGE_DIFFERENCE.total_seconds() * 1000)
    return UUID(int=max(0, milliseconds) << 80)


def _failed(
    session: Session, name: str, task_id: str, first: UUID, last: UUID
) -> dict[UUID, Attempt]:
    """Return the attempts that failed in this message, by event."""
    found = select(Attempt).where(
        Attempt.event_id.between(first, last),
        Attempt.subscription == name,
        Attempt.task_id == task_id,
    )
    return {row.event_id: row for row in session.scalars(found)}


def _deliveries(
    session: Session,
    name: str,
    ids: Collection[UUID],
    failed: Mapping[UUID, Attempt],
    task_id: str,
) -> list[MessageDelivery]:
    found = (
        select(Delivery, LogEntry.type, LogEntry.subject)
        .join(LogEntry, LogEntry.id == Delivery.event_id)
        .where(Delivery.subscription == name, Delivery.event_id.in_(ids))
        .order_by(Delivery.event_id)
    )
    views = []
    for row, event_type, subject in session.execute(found):
        attempt = failed.get(row.event_id)
        views.append(
            MessageDelivery(
                id=row.id,
                event_id=row.event_id,
                event_type=event_type,
                subject=subject,
                state=row.state,
                attempt=attempt.number if attempt else None,
                error=f"{attempt.error_type}: {attempt.message}" if attempt else None,
                again=row.message if row.message != task_id else None,
                done_at=row.done_at,
            )
        )
    return views
