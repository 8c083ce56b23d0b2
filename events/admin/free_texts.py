"""Free texts, in which a person's address may be mentioned, and its replacement in them.

They are searched without a write lock: a search reads whole tables.
"""

import json
import re
from typing import Any

from sqlalchemy import Text, and_, cast, inspect, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from events import ledger
from events.admin import audit_chain
from events.admin.person import contains_email
from events.admin.slices import Stage
from events.audit_tables import AuditEntry
from events.breakers import Breaker
from events.emails import email_forms
from events.personal import ERASED
from events.replays.tables import Replay
from events.tables import Attempt, Delivery, LogEntry, SubscriptionRow

_free_texts: list[InstrumentedAttribute[Any]] = [
    SubscriptionRow.paused_why,
    Attempt.message,
    Attempt.traceback,
    Breaker.changed_why,
    Breaker.error,
    Replay.why,
    Replay.stopped_because,
]


def register_free_text(column: InstrumentedAttribute[Any]) -> None:
    """Let `tidings erase` search a column of texts for an address, and replace it there.

    Its table has a key of one column.
    """
    _free_texts.append(column)


def redact(text: str, email: str) -> str:
    """Replace the address in the text, in any of its spellings."""
    return _spelled(email).sub(ERASED, text)


def _redact_json(data: Any, email: str) -> Any:
    return json.loads(_spelled(email, in_json=True).sub(ERASED, json.dumps(data)))


def _spelled(email: str, *, in_json: bool = False) -> re.Pattern[str]:
    forms = {json.dumps(each)[1:-1] if in_json else each for each in email_forms(email)}
    return re.compile("|".join(map(re.escape, sorted(forms))), re.IGNORECASE)


def mentions(email: str) -> list[Stage]:
    """Return the stages that replace the address in free texts and in events about others."""
    columns = [_in_column(column, email) for column in _free_texts]
    return [*columns, _in_errors(email), _in_audit(email), _in_events(email)]


def _in_column(column: InstrumentedAttribute[Any], email: str) -> Stage:
    kind, mentioned = column.class_, contains_email(column, email)
    [key] = inspect(kind).primary_key
    wanted = select(key).where(mentioned)

    def change(session: Session, keys: Any, _: Any) -> int:
        rows = session.scalars(select(kind).where(key.in_(keys), mentioned)).all()
        for row in rows:
            setattr(row, column.key, redact(getattr(row, column.key), email))
        return len(rows)

    return Stage(lambda session, limit: session.scalars(wanted.limit(limit)).all(), change)


def _in_errors(email: str) -> Stage:
    mentioned = contains_email(Delivery.error, email)
    wanted = select(Delivery.subscription, Delivery.event_id).where(mentioned)

    def change(session: Session, keys: Any, _: Any) -> int:
        here = and_(ledger.these(map(tuple, keys)), mentioned)
        errors = session.scalars(select(Delivery.error).where(here).distinct()).all()
        return sum(
            ledger.replace_errors(
                session, and_(here, Delivery.error == error), redact(str(error), email)
            )
            for error in errors
        )

    return Stage(lambda session, limit: session.execute(wanted.limit(limit)).all(), change)


def _in_audit(email: str) -> Stage:
    texts = (AuditEntry.who, AuditEntry.target, AuditEntry.why, cast(AuditEntry.parameters, Text))
    mentioned = or_(*(contains_email(column, email) for column in texts))
    wanted = select(AuditEntry.id).where(mentioned)

    def change(session: Session, ids: Any, noted: dict[str, Any]) -> int:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.id.in_(ids), mentioned)).all()
        redacted = noted.setdefault(audit_chain.REDACTED, {})
        for row in rows:
            new = {name: redact(getattr(row, name), email) for name in ("who", "target", "why")}
            new["parameters"] = _redact_json(row.parameters, email)
            redacted[str(row.id)] = audit_chain.redact(session, row.id, new)
        return len(rows)

    return Stage(lambda session, limit: session.scalars(wanted.limit(limit)).all(), change)


def _in_events(email: str) -> Stage:
    mentioned = contains_email(LogEntry.data, email)
    wanted = select(LogEntry.position).where(mentioned)

    def change(session: Session, positions: Any, _: Any) -> int:
        here = LogEntry.position.in_(positions)
        rows = session.scalars(select(LogEntry).where(here, mentioned)).all()
        for row in rows:
            row.data = _redact_json(row.data, email)
        return len(rows)

    return Stage(lambda session, limit: session.scalars(wanted.limit(limit)).all(), change)
