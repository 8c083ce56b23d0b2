"""The window: how many messages of a subscription may be in flight.

The backlog stays in the ledger, and the broker holds the messages that workers handle next. A
waiting delivery is sent with the next message, which takes up to `MESSAGE_SIZE`: batches form from
the backlog alone, with no timer, and a single delivery is sent at once. River's completer,
Wolverine's coalescers and group commit follow the same rule: few flushes in flight, and the next
one takes everything that came meanwhile.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from events import heartbeat
from events.ledger import IS_IN_FLIGHT, IS_TO_SEND
from events.tables import DELIVERIES, SUBSCRIPTIONS

MESSAGES = 2  # in flight for a subscription whose queue has one worker slot
MESSAGES_PER_SLOT = 2  # one is handled, the next one waits for it
MESSAGE_SIZE = 100  # deliveries in one message at most, or the batch if that is larger


@dataclass
class Traffic:
    """One subscription as the relay sees it in one round; `room` is in messages."""

    name: str
    queue: str
    event_types: list[str]
    size: int  # deliveries in one message, at most
    slots: int  # handlers that can run at once on the queue
    due_at: datetime | None  # of the earliest delivery that is to be sent
    room: int

    def divide(self, deliveries: int) -> int:
        """Return the size of the messages for so many deliveries: each slot gets its share."""
        return min(self.size, max(1, -(-deliveries // self.slots)))


_S, _D = SUBSCRIPTIONS.c, DELIVERIES.c
_OF_SUBSCRIPTION = _D.subscription == _S.name
_TRAFFIC = select(
    _S.name,
    _S.queue,
    _S.event_types,
    _S.batch,
    _S.paused_at,
    select(func.min(_D.due_at)).where(_OF_SUBSCRIPTION, IS_TO_SEND).scalar_subquery(),
    select(func.count(distinct(_D.message)))
    .where(_OF_SUBSCRIPTION, IS_IN_FLIGHT)
    .scalar_subquery(),
).order_by(_S.name)


def traffic(session: Session, slots: Counter[str], held: Collection[str] = ()) -> list[Traffic]:
    """Return every subscription with its room.

    A paused one has none, and nothing due; so has one whose queue is `held`.
    """
    found = []
    for name, queue, event_types, batch, paused_at, due_at, in_flight in session.execute(_TRAFFIC):
        messages = max(MESSAGES, MESSAGES_PER_SLOT * slots[queue])
        stopped = paused_at is not None or queue in held
        room = 0 if stopped else messages - in_flight
        size = max(MESSAGE_SIZE, batch)
        next_due = None if stopped else due_at
        found.append(Traffic(name, queue, event_types, size, slots[queue] or 1, next_due, room))
    return found


def slots_by_queue(session: Session) -> Counter[str]:
    """Return the number of handlers that can run at once on each queue, from the heartbeats."""
    slots: Counter[str] = Counter()
    for worker in heartbeat.alive(session):
        slots.update(dict.fromkeys(worker.queues, worker.slots))
    return slots


def by_event_type(subscriptions: Iterable[Traffic]) -> dict[str, list[Traffic]]:
    """Return the subscriptions by the event types that they subscribe to."""
    found: defaultdict[str, list[Traffic]] = defaultdict(list)
    for each in subscriptions:
        for event_type in each.event_types:
            found[event_type].append(each)
    return found
