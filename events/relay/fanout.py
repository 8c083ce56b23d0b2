"""Fan-out: one delivery for each subscriber of an event, as the event is marked relayed."""

from collections import defaultdict

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from events import clock, ledger
from events.tables import LogEntry, SubscriptionRow


def fan_out(session: Session, *, limit: int = 500) -> int:
    """Give up to `limit` events their deliveries; return the number of events.

    Events are found by their missing mark, never by "position greater than the last seen": on
    PostgreSQL a lower position may commit after a higher one.
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
    rows = [
        ledger.new_delivery(subscriber, event_id, due_at)
        for event_id, event_type, due_at in events
        for subscriber in subscribers[event_type]
    ]
    ledger.insert_deliveries(session, rows)
    ids = [event_id for event_id, _, _ in events]
    session.execute(update(LogEntry).where(LogEntry.id.in_(ids)).values(relayed_at=now))
    return len(events)


def subscribers_by_type(session: Session) -> defaultdict[str, list[SubscriptionRow]]:
    """Return the subscriptions by the event type that they subscribe to.

    They are locked for sharing: while an event is being fanned out no new subscription can appear,
    so a backfill after the registration misses nothing (see `admin.subscriptions.register`).
    """
    subscribers: defaultdict[str, list[SubscriptionRow]] = defaultdict(list)
    rows = select(SubscriptionRow).order_by(SubscriptionRow.name).with_for_update(read=True)
    for row in session.scalars(rows):
        for event_type in row.event_types:
            subscribers[event_type].append(row)
    return subscribers
