"""The past of a subscription: events of its types that were relayed before it was there."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import Session

from events.edited_events import EditedEvent
from events.tables import Delivery, LogEntry, Pruning, SubscriptionRow


def missing(row: SubscriptionRow, selection: dict[str, Any]) -> ColumnElement[bool]:
    """Select the relayed events that the subscription should have and has not.

    Not those whose delivery was pruned: they were handled or given up. And no corrected events,
    which are for another subscription only.
    """
    wanted = [LogEntry.type.in_(row.event_types), LogEntry.relayed_at.is_not(None)]
    if event_type := selection.get("event_type"):
        wanted.append(LogEntry.type == event_type)
    has = exists().where(Delivery.subscription == row.name, Delivery.event_id == LogEntry.id)
    is_edited = exists().where(EditedEvent.event_id == LogEntry.id)
    return and_(*wanted, ~has, ~was_pruned(row.name), ~is_edited)


def count(session: Session, row: SubscriptionRow, selection: dict[str, Any]) -> int:
    """Return the number of missing events."""
    found = select(func.count()).select_from(LogEntry).where(missing(row, selection))
    return session.scalar(found) or 0


def next_missing(
    row: SubscriptionRow, selection: dict[str, Any], after: int, limit: int
) -> Select[int, UUID]:
    """Select position and id of the next missing events, the oldest first."""
    return (
        select(LogEntry.position, LogEntry.id)
        .where(missing(row, selection), LogEntry.position > after)
        .order_by(LogEntry.position)
        .limit(limit)
    )


def was_pruned(subscription: str) -> ColumnElement[bool]:
    """Select events of the log whose delivery to `subscription` may have been pruned."""
    return exists().where(
        Pruning.subscription == subscription,
        Pruning.event_type == LogEntry.type,
        Pruning.until >= LogEntry.relayed_at,
    )
