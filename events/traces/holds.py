"""Holds: the times in which deliveries waited for an open breaker or a paused subscription."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from events.audit_tables import AuditEntry
from events.system_events import BreakerClosed, BreakerOpened
from events.tables import LogEntry, SubscriptionRow

MAX_CHANGES = 500  # of breakers and of pauses, the latest ones
_FOREVER = datetime.max.replace(tzinfo=UTC)
_BREAKERS = {BreakerOpened.type: True, BreakerClosed.type: False}
_LATEST = (
    select(LogEntry.position, LogEntry.type, LogEntry.time, LogEntry.data)
    .where(LogEntry.type == bindparam("type"))
    .order_by(LogEntry.position.desc())
    .limit(MAX_CHANGES)
)
_PAUSES = {"pause": True, "resume": False}


@dataclass(frozen=True)
class Hold:
    """A time in which nothing was sent, and why."""

    start: datetime
    end: datetime
    text: str

    def overlap(self, start: datetime, end: datetime) -> float:
        """Return the seconds of the hold between two times."""
        return max(0.0, (min(self.end, end) - max(self.start, start)).total_seconds())


def of_subscriptions(session: Session, names: Collection[str]) -> dict[str, list[Hold]]:
    """Return the holds of these subscriptions, as far as the log and the audit have them."""
    if not names:
        return {}
    rows = session.execute(
        select(SubscriptionRow.name, SubscriptionRow.depends_on).where(
            SubscriptionRow.name.in_(names)
        )
    ).all()
    outages = _outages(session) if any(row.depends_on for row in rows) else {}
    pauses = _pauses(session, names)
    return {
        name: [*outages.get(depends_on or "", ()), *pauses.get(name, ())]
        for name, depends_on in rows
    }


def _outages(session: Session) -> dict[str, list[Hold]]:
    changes: list[Any] = []
    for event_type in _BREAKERS:  # in one look, SQLite would read the whole log from its end
        changes += session.execute(_LATEST, {"type": event_type})
    changes.sort(key=lambda row: row.position)
    return _intervals(
        ((row.data["dependency"], row.time, _BREAKERS[row.type]) for row in changes),
        "the breaker of {} was open",
    )


def _pauses(session: Session, names: Collection[str]) -> dict[str, list[Hold]]:
    changes = session.execute(
        select(AuditEntry.target, AuditEntry.at, AuditEntry.action)
        .where(AuditEntry.target.in_(names), AuditEntry.action.in_(_PAUSES))
        .order_by(AuditEntry.id.desc())
        .limit(MAX_CHANGES)
    ).all()
    return _intervals(
        ((row.target, row.at, _PAUSES[row.action]) for row in reversed(changes)), "{} was paused"
    )


def _intervals(changes: Iterable[tuple[str, datetime, bool]], text: str) -> dict[str, list[Hold]]:
    """Pair each begin with the next end; what has not ended goes on."""
    found: defaultdict[str, list[Hold]] = defaultdict(list)
    begun: dict[str, datetime] = {}
    for name, at, begins in changes:
        if begins:
            begun.setdefault(name, at)
        elif start := begun.pop(name, None):
            found[name].append(Hold(start, at, text.format(name)))
    for name, start in begun.items():
        found[name].append(Hold(start, _FOREVER, text.format(name)))
    return found
