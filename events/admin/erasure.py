"""Erasure of a person from log, ledger, invalid messages and audit; ids and numbers stay.

A service that keeps personal data in tables of its own registers an eraser: `register_eraser`.
"""

import base64
import binascii
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from events import ledger
from events.admin import audit
from events.admin.person import Person, contains_email, mentioning
from events.dialects import dialect_of
from events.event import stored_as
from events.inputs import email_forms, email_key
from events.personal import ERASED, ERASED_EMAIL, erased
from events.tables import (
    Attempt,
    AuditEntry,
    Delivery,
    InvalidMessageRow,
    LogEntry,
    ScheduledEvent,
    SubscriptionRow,
)

SHORTEST_SOUGHT = 4  # letters of a name that is searched for in messages of unknown shape
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")

Eraser = Callable[[Session, Person], int]
_erasers: dict[str, Eraser] = {}


def register_eraser(what: str) -> Callable[[Eraser], Eraser]:
    """Register a function that erases a person from a service's tables and returns the row count.

    It runs in the transaction that erases the rest, after the log. A second run for the same person
    must change nothing.
    """

    def register(eraser: Eraser) -> Eraser:
        _erasers[what] = eraser
        return eraser

    return register


def erase(session: Session, person: Person, *, who: str, why: str = "") -> dict[str, int]:
    """Erase the person in the caller's transaction; return how many rows of each kind changed.

    The audit records it with a hash of the address, so that the line can be found by the address;
    it records no erasure that found nothing.
    """
    dialect_of(session).overwrite_deleted_rows(session)
    counts = {
        "events": sum(
            _erase_event(entry, person)
            for entry in session.scalars(select(LogEntry).where(LogEntry.id.in_(person.events)))
        ),
        "scheduled events": sum(
            _erase_event(row, person) for row in session.scalars(_scheduled(person))
        ),
        "deliveries": ledger.replace_errors(session, Delivery.event_id.in_(person.events), ERASED),
        "attempts": _erase_attempts(session, person),
        "invalid_messages": sum(
            _erase_invalid_message(row, person)
            for row in session.scalars(select(InvalidMessageRow).execution_options(yield_per=100))
        ),
        "audit": _clear(session, AuditEntry.why, _audited(person)),
        "mentions elsewhere": _redact_mentions(session, person.email),
    }
    session.flush()
    counts |= {what: eraser(session, person) for what, eraser in _erasers.items()}
    if any(counts.values()):
        record(session, person.email, who=who, why=why)
    return counts


def record(session: Session, email: str, *, who: str, why: str) -> None:
    """Write the erasure to the audit without the address."""
    target = f"customer {digest(email)}"
    audit.record(session, who=who, action="erase", target=target, why=redact(why, email))


def digest(email: str) -> str:
    """Return the SHA-256 of an address, the same for all its spellings: the audit names it so."""
    return hashlib.sha256(email_key(email).encode()).hexdigest()


def redact(text: str, email: str) -> str:
    """Replace the address in the text, in any of its spellings."""
    return _spelled(email).sub(ERASED, text)


def _spelled(email: str, *, in_json: bool = False) -> re.Pattern[str]:
    forms = {json.dumps(each)[1:-1] if in_json else each for each in email_forms(email)}
    return re.compile("|".join(map(re.escape, sorted(forms))), re.IGNORECASE)


def redact_column(session: Session, column: InstrumentedAttribute[Any], email: str) -> int:
    """Replace the address in a column of texts; return how many rows changed."""
    rows = session.scalars(select(column.class_).where(contains_email(column, email))).all()
    for row in rows:
        setattr(row, column.key, redact(getattr(row, column.key), email))
    return len(rows)


def _scheduled(person: Person) -> Select[ScheduledEvent]:
    mentioned = contains_email(ScheduledEvent.data, person.email)
    return select(ScheduledEvent).where(or_(ScheduledEvent.subject.in_(person.subjects), mentioned))


def _erase_event(entry: LogEntry | ScheduledEvent, person: Person) -> bool:
    known = stored_as(entry.type, entry.version)
    data = erased(known, entry.data) if known else _without_texts(entry.data, person)
    actor = {name: value for name, value in entry.actor.items() if name not in ("ip", "agent")}
    changed = (data, actor) != (entry.data, entry.actor)
    if changed:
        entry.data, entry.actor = data, actor
    return changed


def _without_texts(value: Any, person: Person) -> Any:
    """Return the data of an event unknown to this process without the person's texts."""
    if isinstance(value, dict):
        return {name: _without_texts(each, person) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_texts(each, person) for each in value]
    if isinstance(value, str) and "@" in value and email_key(value) == email_key(person.email):
        return ERASED_EMAIL
    return ERASED if isinstance(value, str) and value.casefold() in person.texts else value


def _clear(session: Session, column: Any, where: Any) -> int:
    changed = (
        update(column.class_).where(where, column.not_in(("", ERASED))).values({column: ERASED})
    )
    return int(session.execute(changed.execution_options(synchronize_session=False)).rowcount)  # type: ignore[attr-defined]


def _erase_attempts(session: Session, person: Person) -> int:
    theirs = Attempt.event_id.in_(person.events)
    return max(_clear(session, Attempt.message, theirs), _clear(session, Attempt.traceback, theirs))


def _audited(person: Person) -> Any:
    """Select the lines about their orders and deliveries, whose reasons are free texts."""
    event_ids = [str(event_id) for event_id in person.events]
    about_event = func.substr(AuditEntry.target, 1, 36).in_(event_ids)
    return or_(AuditEntry.target.in_(person.subjects), about_event)


def _erase_invalid_message(row: InvalidMessageRow, person: Person) -> bool:
    sought = {
        form for text in person.searchable if len(text) >= SHORTEST_SOUGHT for form in _forms(text)
    }
    haystack = b"\n".join((row.headers.encode(), row.error.encode(), *_readings(row.body))).lower()
    found = any(form in haystack for form in sought)
    if found:
        row.body, row.headers, row.error = ERASED.encode(), "{}", ""
    return found


def _forms(text: str) -> set[bytes]:
    """Return the forms of a text in a message: in JSON or not, its letters composed or not."""
    spelled = {
        unicodedata.normalize(form, letters)
        for letters in (text, text.lower(), text.upper())
        for form in ("NFC", "NFD")
    }
    return {each for text in spelled for each in (text.encode().lower(), _json_form(text))}


def _json_form(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode().lower()


def _readings(body: bytes) -> Iterator[bytes]:
    """Yield a body and the base64 parts in it, decoded: kombu's envelopes have such parts."""
    yield body
    for part in _BASE64.findall(body):
        try:
            yield base64.b64decode(part)
        except binascii.Error:
            continue


_FREE_TEXTS: tuple[InstrumentedAttribute[Any], ...] = (
    *(AuditEntry.who, AuditEntry.target, AuditEntry.why),
    SubscriptionRow.paused_why,
    *(Attempt.message, Attempt.traceback),
)


def _redact_mentions(session: Session, email: str) -> int:
    """Replace the address in free texts and in events about other people."""
    count = sum(redact_column(session, column, email) for column in _FREE_TEXTS)
    mentions = select(Delivery.error).where(contains_email(Delivery.error, email)).distinct()
    for error in session.scalars(mentions).all():
        count += ledger.replace_errors(session, Delivery.error == error, redact(str(error), email))
    for entry in mentioning(session, email):
        entry.data = json.loads(_spelled(email, in_json=True).sub(ERASED, json.dumps(entry.data)))
        count += 1
    return count
