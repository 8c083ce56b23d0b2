"""Free texts, in which a person's address may be mentioned, and its replacement in them.

They are searched without a write lock: a search reads whole tables.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import and_, inspect, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from events import ledger
from events.admin import audit_chain
from events.admin.person import contains_email
from events.admin.slices import Stage
from events.audit_tables import AuditEntry
from events.breakers import Breaker
from events.emails import mentions_email, replace_email
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
    return str(replace_email(text, email, ERASED))


def mentions(email: str) -> list[Stage]:
    """Return the stages that replace the address in free texts and in events about others."""
    columns = [_in_column(column, email) for column in _free_texts]
    return [*columns, _in_errors(email), _in_audit(email), _in_events(email)]


def _find(
    keys: Sequence[Any], texts: Sequence[Any], email: str
) -> Callable[[Session, int], list[Any]]:
    """Find the rows whose texts mention the address; a longer one contains it as well."""
    wanted = select(*keys, *texts).where(or_(*(contains_email(each, email) for each in texts)))

    def find(session: Session, limit: int) -> list[Any]:
        rows = session.execute(wanted)
        found = (row for row in rows if mentions_email(list(row[len(keys) :]), email))
        return [tuple(row[: len(keys)]) for row in islice(found, limit)]

    return find


def _first(keys: Sequence[Any]) -> list[Any]:
    return [key for (key,) in keys]


def _in_column(column: InstrumentedAttribute[Any], email: str) -> Stage:
    kind = column.class_
    [key] = inspect(kind).primary_key

    def change(session: Session, keys: Any, _: Any) -> int:
        here = and_(key.in_(_first(keys)), contains_email(column, email))
        rows = session.scalars(select(kind).where(here)).all()
        for row in rows:
            setattr(row, column.key, redact(getattr(row, column.key), email))
        return len(rows)

    return Stage(_find([key], [column], email), change)


def _in_errors(email: str) -> Stage:
    def change(session: Session, keys: Any, _: Any) -> int:
        here = and_(ledger.these(keys), contains_email(Delivery.error, email))
        errors = session.scalars(select(Delivery.error).where(here).distinct()).all()
        return sum(
            ledger.replace_errors(
                session, and_(here, Delivery.error == error), redact(str(error), email)
            )
            for error in errors
        )

    keys = [Delivery.subscription, Delivery.event_id]
    return Stage(_find(keys, [Delivery.error], email), change)


def _in_audit(email: str) -> Stage:
    names = ("who", "target", "why", "parameters")
    texts = [getattr(AuditEntry, name) for name in names]

    def change(session: Session, keys: Any, noted: dict[str, Any]) -> int:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.id.in_(_first(keys)))).all()
        redacted = noted.setdefault(audit_chain.REDACTED, {})
        for row in rows:
            new = {name: replace_email(getattr(row, name), email, ERASED) for name in names}
            redacted[str(row.id)] = audit_chain.redact(session, row.id, new)
        return len(rows)

    return Stage(_find([AuditEntry.id], texts, email), change)


def _in_events(email: str) -> Stage:
    def change(session: Session, keys: Any, _: Any) -> int:
        here = LogEntry.position.in_(_first(keys))
        rows = session.scalars(select(LogEntry).where(here)).all()
        for row in rows:
            row.data = replace_email(row.data, email, ERASED)
        return len(rows)

    return Stage(_find([LogEntry.position], [LogEntry.data], email), change)
