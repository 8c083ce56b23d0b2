"""Outgoing tasks: messages for ordinary Celery tasks, sent after the caller's transaction commits.

`events.transport.delay_on_commit` inserts the row in that transaction, and the relay sends it. The
relay first moves the row's due time on by `LEASE`, sends, and then deletes the row: one that dies
in between leaves a row that is sent again, with the same task id.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, Text, bindparam, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import clock, log
from events.dialects import dialect_of
from events.errors import ScheduleError
from events.messages import TaskMessage
from events.orm import Base, table_of

LEASE = timedelta(minutes=1)  # after which a relay that has sent nothing is taken for dead
REFUSED_DELAY = timedelta(seconds=10)  # until a queue that refused its messages is tried again
SEND_BATCH = 200  # messages in one flush


class OutgoingTask(Base):
    """The message of a task, as Celery would have sent it."""

    __tablename__ = "outgoing_tasks"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    task: Mapped[str] = mapped_column(String(255))
    queue: Mapped[str] = mapped_column(String(255))
    headers: Mapped[dict[str, Any]]
    body: Mapped[str] = mapped_column(Text)
    priority: Mapped[int | None]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(index=True)


_TABLE = table_of(OutgoingTask)
_DUE = (
    select(_TABLE.c.id)
    .where(_TABLE.c.due_at <= bindparam("now"))
    .order_by(_TABLE.c.due_at)
    .limit(SEND_BATCH)
    .with_for_update(skip_locked=True)
)
_NAMED = _TABLE.c.id.in_(bindparam("ids", expanding=True))


def add(session: Session, message: TaskMessage, *, task: str, due_at: datetime) -> None:
    """Insert a message in the caller's transaction. Raises `ScheduleError` if its id is taken, and
    `PublishError` if there is no transaction.
    """
    log.require_transaction(session)
    row = {
        "id": message.id,
        "task": task,
        "queue": message.queue,
        "headers": message.headers,
        "body": message.body,
        "priority": message.priority,
        "created_at": clock.now(),
        "due_at": due_at,
    }
    insert = dialect_of(session).insert(_TABLE).on_conflict_do_nothing()
    if session.scalar(insert.returning(_TABLE.c.id), row) is None:
        raise ScheduleError(f"task id {message.id!r} is that of a task which waits already")
    log.wake(session)


def lease_due(session: Session) -> list[TaskMessage]:
    """Return the messages that are due, and move their due times on. Relays share the work."""
    now = clock.now()
    ids = list(session.scalars(_DUE, {"now": now}))
    if not ids:
        return []
    session.execute(update(_TABLE).where(_NAMED).values(due_at=now + LEASE), {"ids": ids})
    rows = session.execute(select(_TABLE).where(_NAMED).order_by(_TABLE.c.created_at), {"ids": ids})
    return [TaskMessage(row.id, row.queue, row.headers, row.body, row.priority) for row in rows]


def delete_sent(session: Session, ids: Collection[str]) -> None:
    """Delete messages that the broker took."""
    session.execute(delete(_TABLE).where(_NAMED), {"ids": list(ids)})


def put_back(session: Session, ids: Collection[str], *, delay: timedelta = timedelta()) -> None:
    """Make messages due again that the broker did not take."""
    due_at = clock.now() + delay
    session.execute(update(_TABLE).where(_NAMED).values(due_at=due_at), {"ids": list(ids)})
