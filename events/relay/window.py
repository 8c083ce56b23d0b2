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
from typing import Any

from sqlalchemy import Connection, distinct, func, select

from events.breakers import BREAKERS, State, probe_due_at
from events.dialects import DIALECTS
from events.ledger import IS_IN_FLIGHT, IS_TO_SEND
from events.slots import window
from events.tables import DELIVERIES, SUBSCRIPTIONS

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
    dependency: str | None = None  # whose breaker is open: its deliveries wait
    probe_at: datetime | None = None  # the earliest time of a probe, if one could be sent

    def divide(self, deliveries: int) -> int:
        """Return the size of the messages for so many deliveries: each slot gets its share."""
        return min(self.size, max(1, -(-deliveries // self.slots)))


_S, _D, _B = SUBSCRIPTIONS.c, DELIVERIES.c, BREAKERS.c
_OF_SUBSCRIPTION = _D.subscription == _S.name
_COLUMNS = (
    _S.name,
    _S.queue,
    _S.event_types,
    _S.batch,
    _S.paused_at,
    _S.depends_on,
    _B.state,
    _B.next_probe_at,
    _B.probe_at,
    select(func.min(_D.due_at)).where(_OF_SUBSCRIPTION, IS_TO_SEND).scalar_subquery(),
    select(func.count(distinct(_D.message)))
    .where(_OF_SUBSCRIPTION, IS_IN_FLIGHT)
    .scalar_subquery(),
)
_TRAFFIC = (
    select(*_COLUMNS)
    .select_from(SUBSCRIPTIONS.outerjoin(BREAKERS, _B.dependency == _S.depends_on))
    .order_by(_S.name)
)
# A third of the cost, and a look after each commit asks for no more.
_TRAFFIC_TO_SEND = _TRAFFIC.where(
    select(_D.event_id).where(_OF_SUBSCRIPTION, IS_TO_SEND).correlate(SUBSCRIPTIONS).exists()
)


def traffic(
    connection: Connection,
    slots: Counter[str],
    held: Collection[str] = (),
    *,
    to_send: bool = False,
) -> list[Traffic]:
    """Return every subscription with its room, or those that have deliveries `to_send`.

    A paused one has none, and nothing due; so has one whose queue is `held`, and one whose
    dependency is unavailable, which may have a probe to send.
    """
    statement = _TRAFFIC_TO_SEND if to_send else _TRAFFIC
    rows = DIALECTS[connection.dialect.name].fetch(connection, statement, {})
    return [_traffic(row, slots, held) for row in rows]


def _traffic(row: Any, slots: Counter[str], held: Collection[str]) -> Traffic:
    name, queue, event_types, batch, paused_at, depends_on, breaker, *probe, due, in_flight = row
    room = window(slots[queue]) - in_flight
    found = Traffic(
        name, queue, event_types, max(MESSAGE_SIZE, batch), slots[queue] or 1, due, room
    )
    may_send = paused_at is None and queue not in held
    waits = breaker not in (None, State.CLOSED)
    if waits and may_send and room > 0 and due is not None and breaker == State.OPEN:
        found.dependency, found.probe_at = depends_on, probe_due_at(*probe)
    if waits or not may_send:
        found.room, found.due_at = 0, None
    return found


def by_event_type(subscriptions: Iterable[Traffic]) -> dict[str, list[Traffic]]:
    """Return the subscriptions by the event types that they subscribe to."""
    found: defaultdict[str, list[Traffic]] = defaultdict(list)
    for each in subscriptions:
        for event_type in each.event_types:
            found[event_type].append(each)
    return found
