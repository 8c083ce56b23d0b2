"""The restores of the database: each is older than the world, until a person has settled that.

An order that was placed after the backup is missing from the log, but its customer has its number
and its card may be charged. So each restore leaves out the numbers that may have been given.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock
from events.admin import audit
from events.admin.free_texts import register_free_text
from events.dialects import dialect_of
from events.orm import BigInt, table_of
from events.tables import LogEntry
from tasks.orders import Order

FIRST_NUMBER = 1000
# More orders than any shop on one machine accepts, on the average of the time since the backup.
MAX_RATE, MAX_BURST = 100, 100_000  # orders a second, and orders at once


class Restore(Base):
    """A restore: `log_end` is the time of the newest event then, `last_key` the highest order key
    that may have been given before."""

    __tablename__ = "restores"

    at: Mapped[datetime] = mapped_column(primary_key=True)
    who: Mapped[str] = mapped_column(String(200))
    why: Mapped[str] = mapped_column(Text)
    log_end: Mapped[datetime | None]
    last_key: Mapped[BigInt]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None] = mapped_column(String(200))
    settled_why: Mapped[str | None] = mapped_column(Text)

    @property
    def last_number(self) -> str:
        """The highest order number that may have been given before the restore."""
        return number_of(self.last_key)


_TABLE = table_of(Restore)
# For the statement that numbers an order.
LAST_KEY = select(func.coalesce(func.max(_TABLE.c.last_key), 0)).scalar_subquery()


def number_of(key: int) -> str:
    """Return the number of the order with this key."""
    return f"ORD-{key + FIRST_NUMBER}"


def last_order_key(session: Session) -> int:
    """Return the highest key of an order; 0 if there is none."""
    return session.scalar(select(func.coalesce(func.max(Order.key), 0))) or 0


def last_key_given(session: Session) -> int:
    """Return the highest order key that this database knows to be given."""
    return max(last_order_key(session), session.scalar(select(LAST_KEY)) or 0)


def log_end(session: Session) -> datetime | None:
    """Return the time of the newest event."""
    newest = select(LogEntry.time).order_by(LogEntry.position.desc()).limit(1)
    return session.scalar(newest)


def unknown_keys(since: datetime | None) -> int:
    """Return how many order keys may have been given since a time of which nothing is known."""
    seconds = max(0.0, (clock.now() - since).total_seconds()) if since else 0.0
    return MAX_BURST + int(seconds * MAX_RATE)


def record(session: Session, *, last_key: int, who: str, why: str) -> Restore:
    """Record that this database was restored; no later order has a key up to `last_key`."""
    restore = Restore(at=clock.now(), who=who, why=why, log_end=log_end(session), last_key=last_key)
    session.add(restore)
    session.flush()
    dialect_of(session).skip_keys(session, table_of(Order).c.key, last_key)
    target = f"database, up to {restore.last_number}"
    audit.record(session, who=who, action="restore", target=target, why=why)
    return restore


def unsettled(session: Session) -> Sequence[Restore]:
    """Return the restores that no person has settled, oldest first."""
    return session.scalars(
        select(Restore).where(Restore.settled_at.is_(None)).order_by(Restore.at)
    ).all()


def last_settled(session: Session) -> datetime | None:
    """Return the time at which a person last settled a restore."""
    return session.scalar(select(func.max(Restore.settled_at)))


def settle(session: Session, *, who: str, why: str) -> Sequence[Restore]:
    """Record that a person has settled what the restores left in doubt; return them."""
    found = unsettled(session)
    for each in found:
        each.settled_at, each.settled_by, each.settled_why = clock.now(), who, why
        target = f"restore of {each.at:%Y-%m-%d %H:%M:%S} UTC"
        audit.record(session, who=who, action="settle", target=target, why=why)
    return found


for text in (Restore.why, Restore.settled_why):
    register_free_text(text)
