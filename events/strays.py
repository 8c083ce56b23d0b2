"""Strays: messages that were no doorbell of ours, kept with their raw body until a person has looked."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from events import audit, clock
from events.database import storable
from events.errors import UnknownDelivery
from events.tables import Stray


def keep(session: Session, *, queue: str, reason: str, error: str, headers: str, body: bytes) -> None:
    """Write a stray down in the caller's transaction; acknowledge its message only after that committed."""
    texts = {"queue": storable(queue, 100), "reason": storable(reason, 200), "error": storable(error, 2000)}
    session.execute(insert(Stray).values(at=clock.now(), headers=storable(headers, 20_000), body=body, **texts))


def listed(session: Session, *, limit: int = 100) -> Sequence[Stray]:
    """The strays nobody has discarded, newest first."""
    return session.scalars(select(Stray).where(Stray.discarded_at.is_(None)).order_by(Stray.id.desc()).limit(limit)).all()


def count(session: Session) -> int:
    """How many strays wait for a person."""
    return session.scalar(select(func.count()).select_from(Stray).where(Stray.discarded_at.is_(None))) or 0


def discard(session: Session, id: int, *, who: str, why: str) -> None:
    """Take a stray off the list; the row stays. Raises `UnknownDelivery`."""
    row = session.get(Stray, id)
    if row is None:
        raise UnknownDelivery(f"stray {id}")
    row.discarded_at = clock.now()
    audit.record(session, who=who, action="discard", target=f"stray {id}", why=why)
