"""Orders that nothing moves any more: not at their end, and nothing of theirs is under way or waits at a dead letter.

That is left when a person discards the delivery of a step: the order waits for an answer that will not come.
"""

from collections.abc import Sequence

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from events.ledger import IS_DEAD, IS_OPEN
from events.tables import Delivery, LogEntry
from tasks.orders import Order

ENDS = ("shipped", "cancelled")


def stranded(session: Session, *, limit: int = 100) -> Sequence[Order]:
    """The oldest of these orders. What is under way is seen in one snapshot with the order, so none of it can be missed."""
    open_or_dead = exists().where(Delivery.event_id == LogEntry.id, or_(IS_OPEN, IS_DEAD))
    moving = exists().where(
        LogEntry.subject == Order.number, or_(LogEntry.relayed_at.is_(None), open_or_dead)
    )
    return session.scalars(
        select(Order).where(Order.status.not_in(ENDS), ~moving).order_by(Order.key).limit(limit)
    ).all()
