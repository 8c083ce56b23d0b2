"""Stuck orders: open ones that do not go on, each with what it waits for.

An order is stuck as soon as a person has to act before it can go on, or its dependency has to come
back, and otherwise after `STUCK_AFTER`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from events import clock
from events.ledger import State
from events.tables import Delivery, LogEntry
from events.traces import waits
from events.traces.waits import Circumstances, Wait
from tasks.orders import OPEN_STATUSES, WITHOUT_ANSWER, Order

STUCK_AFTER = timedelta(seconds=60)  # from the event on


@dataclass(frozen=True)
class StuckOrder:
    """An order that does not go on; the first wait is the worst one."""

    order: Order
    waits: list[Wait]

    @property
    def person(self) -> bool:
        """True if it goes on only after a person has acted."""
        return any(each.person for each in self.waits)


@dataclass(frozen=True)
class Found:
    """Stuck orders, oldest first; `more` is true if younger orders were not looked at."""

    orders: list[StuckOrder]
    more: bool

    @property
    def person(self) -> int:
        """The number of those that need a person."""
        return sum(each.person for each in self.orders)

    @property
    def text(self) -> str:
        """The number of stuck orders in words."""
        count = len(self.orders)
        if not count:
            return "No order is stuck"
        at_least = "At least " if self.more else ""
        return f"{at_least}{count:,} {'order is' if count == 1 else 'orders are'} stuck"


def listed(session: Session, *, limit: int) -> Found:
    """Return the stuck ones among the `limit` oldest open orders."""
    # SQLite uses the index only if it sees the statuses in the statement.
    statuses: Any = bindparam("statuses", OPEN_STATUSES, expanding=True, literal_execute=True)
    oldest = select(Order).where(Order.status.in_(statuses)).order_by(Order.created_at)
    rows = session.scalars(oldest.limit(limit + 1)).all()
    return Found(among(session, rows[:limit]), more=len(rows) > limit)


def among(session: Session, rows: Sequence[Order]) -> list[StuckOrder]:
    """Return those of these open orders that are stuck, in the same order."""
    found = waits_of(session, rows)
    return [StuckOrder(row, found[row.number]) for row in rows if _is_stuck(found[row.number])]


def waits_of(session: Session, rows: Sequence[Order]) -> dict[str, list[Wait]]:
    """Return what each of these open orders waits for, by its number, the worst first."""
    now = waits.circumstances(session)
    events = session.execute(
        select(LogEntry.id, LogEntry.type, LogEntry.subject, LogEntry.time, LogEntry.relayed_at)
        .where(LogEntry.subject.in_([row.number for row in rows]))
        .order_by(LogEntry.position)
    ).all()
    deliveries: defaultdict[UUID, list[Delivery]] = defaultdict(list)
    for delivery in session.scalars(
        select(Delivery)
        .where(Delivery.event_id.in_([event.id for event in events]))
        .order_by(Delivery.subscription)
    ):
        if delivery.queue not in WITHOUT_ANSWER and delivery.state != State.DONE:
            deliveries[delivery.event_id].append(delivery)
    by_subject: defaultdict[str, list[Any]] = defaultdict(list)
    for event in events:
        by_subject[event.subject].append(event)
    return {row.number: _of_order(row, by_subject[row.number], deliveries, now) for row in rows}


def _of_order(
    order: Order,
    events: Sequence[Any],
    deliveries: Mapping[UUID, Sequence[Delivery]],
    now: Circumstances,
) -> list[Wait]:
    found = [now.of_event(each.id, each.type, each.time) for each in events if not each.relayed_at]
    given_up: list[Wait] = []
    for event in events:
        for row in deliveries.get(event.id, ()):
            kept = given_up if row.state == State.DISCARDED else found
            kept.append(now.of_delivery(row, event.time))
    if not found and order.status in OPEN_STATUSES:  # the next step never comes
        found = given_up or [waits.no_step(order.number, order.created_at)]
    return sorted(found, key=lambda wait: (not wait.person, not wait.stops, wait.since))


def _is_stuck(found: Sequence[Wait]) -> bool:
    now = clock.now()
    return any(each.stops or now - each.since >= STUCK_AFTER for each in found)
