"""Invalid messages: messages that were no doorbell of ours, kept with their raw body until a person has looked."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from events import clock
from events.admin import audit
from events.database import sanitize_text
from events.errors import UnknownDelivery
from events.tables import InvalidMessageRow


def keep(
    session: Session, *, queue: str, reason: str, error: str, headers: str, body: bytes
) -> None:
    """Write an invalid message down in the caller's transaction; acknowledge its message only after that committed."""
    texts = {
        "queue": sanitize_text(queue, 100),
        "reason": sanitize_text(reason, 200),
        "error": sanitize_text(error, 2000),
    }
    session.execute(
        insert(InvalidMessageRow).values(
            at=clock.now(), headers=sanitize_text(headers, 20_000), body=body, **texts
        )
    )


def listed(session: Session, *, limit: int = 100) -> Sequence[InvalidMessageRow]:
    """The invalid messages nobody has discarded, newest first."""
    return session.scalars(
        select(InvalidMessageRow)
        .where(InvalidMessageRow.discarded_at.is_(None))
        .order_by(InvalidMessageRow.id.desc())
        .limit(limit)
    ).all()


def count(session: Session) -> int:
    """How many invalid messages wait for a person."""
    return (
        session.scalar(
            select(func.count())
            .select_from(InvalidMessageRow)
            .where(InvalidMessageRow.discarded_at.is_(None))
        )
        or 0
    )


def discard(session: Session, id: int, *, who: str, why: str) -> None:
    """Take an invalid message off the list; the row stays. Raises `UnknownDelivery`."""
    row = session.get(InvalidMessageRow, id)
    if row is None:
        raise UnknownDelivery(f"invalid message {id}")
    row.discarded_at = clock.now()
    audit.record(session, who=who, action="discard", target=f"invalid message {id}", why=why)
