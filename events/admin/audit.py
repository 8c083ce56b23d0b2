"""The audit: who did what to which delivery, subscription or order, when, why."""

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from events import clock
from events.tables import AuditEntry


def record(session: Session, *, who: str, action: str, target: str, why: str = "") -> None:
    """Write one line of the audit in the caller's transaction."""
    session.execute(
        insert(AuditEntry).values(at=clock.now(), who=who, action=action, target=target, why=why)
    )


def listed(session: Session, *, limit: int = 100) -> Sequence[AuditEntry]:
    """Return the latest lines, newest first."""
    return session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)).all()
