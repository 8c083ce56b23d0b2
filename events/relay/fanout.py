"""Fan-out: one delivery for each subscription that hears an event, in the transaction that marks the event relayed."""

from collections import defaultdict
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from events import clock
from events.tables import Delivery, LogEntry, SubscriptionRow


def fan_out(session: Session, *, limit: int = 500) -> int:
    """Give up to `limit` events their deliveries; returns how many events that were.

    Events are found by their missing mark, never by "position greater than the last seen": on PostgreSQL a lower position
    may commit after a higher one.
    """
    now = clock.now()
    waiting = (
        select(LogEntry.id, LogEntry.type, LogEntry.publish_at)
        .where(LogEntry.relayed_at.is_(None), LogEntry.publish_at <= now)
        .order_by(LogEntry.position)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    events = session.execute(waiting).all()
    if not events:
        return 0
    subscribers = subscribers_by_type(session)
    rows = [delivery(row, id, at) for id, type, at in events for row in subscribers[type]]
    if rows:
        session.execute(insert(Delivery), rows)
    session.execute(
        update(LogEntry).where(LogEntry.id.in_([id for id, _, _ in events])).values(relayed_at=now)
    )
    return len(events)


def subscribers_by_type(session: Session) -> defaultdict[str, list[SubscriptionRow]]:
    """The subscriptions by the type they hear. They are locked for sharing: while an event is being fanned out no new
    subscription can appear, so a backfill after the registration misses nothing (see `control.register`)."""
    subscribers: defaultdict[str, list[SubscriptionRow]] = defaultdict(list)
    for row in session.scalars(
        select(SubscriptionRow).order_by(SubscriptionRow.name).with_for_update(read=True)
    ):
        for type in row.event_types:
            subscribers[type].append(row)
    return subscribers


def delivery(row: SubscriptionRow, event_id: Any, due_at: Any) -> dict[str, Any]:
    """The values of a new delivery."""
    return {
        "subscription": row.name,
        "event_id": event_id,
        "queue": row.queue,
        "state": "pending",
        "attempts": 0,
        "sends": 0,
        "lost_count": 0,
        "unfinished_starts": 0,
        "due_at": due_at,
    }
