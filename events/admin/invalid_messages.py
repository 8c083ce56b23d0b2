"""Invalid messages: messages that no relay of ours sent, kept with their raw body for a person."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from events import clock
from events.admin import audit
from events.db_errors import sanitize_text
from events.errors import TidingsError
from events.tables import InvalidMessageRow

MAX_SHOWN = 4000  # bytes of a body that are shown
_IS_KEPT = InvalidMessageRow.discarded_at.is_(None)


class UnknownInvalidMessage(TidingsError):
    """No invalid message that waits for a person has this number."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"no invalid message {number} waits for a person: there is none, or it is discarded; "
            "`tidings invalid-messages list` shows them"
        )


def keep(
    session: Session, *, queue: str, reason: str, error: str, headers: str, body: bytes
) -> None:
    """Write an invalid message in the caller's transaction; acknowledge it after the commit."""
    row = {
        "at": clock.now(),
        "queue": sanitize_text(queue, 100),
        "reason": sanitize_text(reason, 200),
        "error": sanitize_text(error, 2000),
        "headers": sanitize_text(headers, 20_000),
        "body": body,
    }
    session.execute(insert(InvalidMessageRow).values(row))


def listed(session: Session, *, limit: int = 100) -> Sequence[InvalidMessageRow]:
    """Return the invalid messages that nobody has discarded, newest first."""
    kept = select(InvalidMessageRow).where(_IS_KEPT).order_by(InvalidMessageRow.id.desc())
    return session.scalars(kept.limit(limit)).all()


def plain(row: InvalidMessageRow) -> dict[str, Any]:
    """Return an invalid message as JSON has it; bytes of the body that are no text are escaped."""
    names = ("id", "at", "queue", "reason", "error", "headers")
    body = row.body[:MAX_SHOWN].decode("utf-8", "backslashreplace")
    return {name: getattr(row, name) for name in names} | {"body": body, "size": len(row.body)}


def count(session: Session) -> int:
    """Return the number of invalid messages that wait for a person."""
    kept = select(func.count()).select_from(InvalidMessageRow).where(_IS_KEPT)
    return session.scalar(kept) or 0


def discard(session: Session, message_id: int, *, who: str, why: str) -> None:
    """Take an invalid message off the list; the row stays.

    Raises `UnknownInvalidMessage`, also for one that is off the list already.
    """
    row = session.get(InvalidMessageRow, message_id)
    if row is None or row.discarded_at is not None:
        raise UnknownInvalidMessage(message_id)
    row.discarded_at = clock.now()
    target = f"invalid message {message_id}"
    audit.record(session, who=who, action="discard", target=target, why=why)
