"""One round of the relay: fan out, and mark as sent what the window has room for."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, func, select
from sqlalchemy.orm import Session

from events import clock
from events.dialects import DIALECTS, dialect_of
from events.ledger import IS_TO_SEND
from events.messages import Message
from events.outgoing_tasks import OutgoingTask
from events.relay.fanout import IS_DUE, fan_out
from events.relay.probes import send_probes
from events.relay.sending import mark_due_as_sent
from events.relay.window import Traffic, traffic
from events.tables import LogEntry, ScheduledEvent, SubscriptionRow

_TO_RELAY = select(
    exists().where(LogEntry.relayed_at.is_(None), IS_DUE),
    exists().where(IS_TO_SEND),
    select(func.min(ScheduledEvent.publish_at)).scalar_subquery(),
    select(func.min(OutgoingTask.due_at)).scalar_subquery(),
)


@dataclass(frozen=True)
class Round:
    """The result of one round: the number of events, and messages to send after the commit."""

    events: int
    messages: Sequence[Message]


@dataclass(frozen=True)
class Survey:
    """A survey of the work: whether events wait, and when the next delivery with room is due.

    `due_at` is not looked up if events wait; `scheduled_at` is the time of the next scheduled
    event, `task_at` that of a task.
    """

    events: bool
    due_at: datetime | None
    scheduled_at: datetime | None = None
    task_at: datetime | None = None

    @property
    def has_scheduled(self) -> bool:
        """Tell whether a scheduled event is due."""
        return self.scheduled_at is not None and self.scheduled_at <= clock.now()

    @property
    def has_tasks(self) -> bool:
        """Tell whether an ordinary task is due."""
        return self.task_at is not None and self.task_at <= clock.now()

    @property
    def next_at(self) -> datetime | None:
        """The time at which there is work next."""
        times = (self.due_at, self.scheduled_at, self.task_at)
        return min((at for at in times if at), default=None)

    @property
    def has_work(self) -> bool:
        """Tell whether a round would do anything."""
        return self.events or (self.due_at is not None and self.due_at <= clock.now())


def survey(connection: Connection, slots: Counter[str], held: Collection[str] = ()) -> Survey:
    """Look for work without the write lock, which others need more.

    If events wait, the round itself looks at the rest, which is most of the cost.
    """
    dialect = DIALECTS[connection.dialect.name]
    [row] = dialect.fetch(connection, _TO_RELAY, {"now": clock.now()})
    waiting, to_send, scheduled_at, task_at = row
    due_at = None
    if to_send and not waiting:
        due_at = _next_due(traffic(connection, slots, held, to_send=True))
    return Survey(bool(waiting), due_at, scheduled_at, task_at)


def do_round(
    session: Session,
    slots: Counter[str],
    *,
    can_send: bool = True,
    held: Collection[str] = (),
) -> Round:
    """Fan out and mark; without `can_send` all is left due, else what goes to `held` queues."""
    dialect_of(session).lock_shared(session, SubscriptionRow.__tablename__)
    subscriptions = traffic(session.connection(), slots, held)
    if not can_send:
        for each in subscriptions:
            each.room = 0
    events, messages = fan_out(session, subscriptions)
    for each in subscriptions:
        messages += mark_due_as_sent(session, each)
    if can_send:
        messages += send_probes(session, subscriptions)
    return Round(events, messages)


def _next_due(subscriptions: Iterable[Traffic]) -> datetime | None:
    """Return the earliest due time of the subscriptions that have room, or of a probe."""
    due = [each.due_at if each.room > 0 else each.probe_at for each in subscriptions]
    return min((each for each in due if each is not None), default=None)
