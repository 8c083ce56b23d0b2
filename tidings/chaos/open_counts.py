"""The counts of open work, by which a run sees progress and the end of it."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events.ledger import IS_OPEN
from events.tables import Delivery, LogEntry


@dataclass(frozen=True)
class OpenCounts:
    """The counts of unrelayed events, of open deliveries, and of deliveries that are done."""

    events: int
    deliveries: int
    done: int

    @property
    def idle(self) -> bool:
        """True if neither events nor deliveries are open."""
        return not self.events and not self.deliveries


def count_open(session: Session) -> OpenCounts:
    """Count the open events and deliveries, in one statement.

    On PostgreSQL each statement has a snapshot of its own: of two, the first would miss the event
    that a handler publishes, and the second the delivery that it settles by the same commit.
    """
    unrelayed = select(func.count(LogEntry.position)).where(LogEntry.relayed_at.is_(None))
    deliveries = select(func.count(Delivery.subscription))
    counts = (unrelayed, deliveries.where(IS_OPEN), deliveries.where(Delivery.state == "done"))
    return OpenCounts(*session.execute(select(*(each.scalar_subquery() for each in counts))).one())
