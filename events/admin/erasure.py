"""Erasure of a person from log, ledger, invalid messages and audit; ids and numbers stay.

A service that keeps personal data in tables of its own registers an eraser: `register_eraser`.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from events.admin import audit
from events.event import stored_as
from events.personal import ERASED, ERASED_EMAIL, Personal, erased, personal_values
from events.tables import (
    Attempt,
    AuditEntry,
    Delivery,
    InvalidMessageRow,
    LogEntry,
    SubscriptionRow,
)

SHORTEST_SOUGHT = 4  # letters of a name that is searched for in messages of unknown shape
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")


@dataclass(frozen=True)
class Person:
    """The person to erase: the address, their events with the subjects, and the personal texts there.

    The `searchable` ones of the `texts` identify the person in a message of unknown shape.
    """

    email: str
    subjects: frozenset[str]
    events: tuple[UUID, ...]
    texts: frozenset[str]
    searchable: frozenset[str]


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


def find(
    session: Session,
    email: str,
    *,
    subjects: Collection[str] = (),
    searchable: Collection[str] = (),
) -> Person:
    """Return the person with this address, in any case of letters.

    `subjects` and `searchable` are subjects and texts that the caller knows already.
    """
    own = [entry for entry in _mentioning(session, email) if _is_about(entry, email)]
    about = {entry.subject for entry in own if entry.subject} | set(subjects)
    entries = {entry.id: entry for entry in own}
    for entry in session.scalars(select(LogEntry).where(LogEntry.subject.in_(about))):
        if not _identities(entry) or _is_about(
            entry, email
        ):  # else another person's, about the same subject
            entries[entry.id] = entry
    texts = {
        (text, marker.searchable)
        for entry in entries.values()
        for marker, text in _personal_values(entry)
    } | {(text, True) for text in searchable}
    return Person(
        email,
        frozenset(about),
        tuple(sorted(entries)),
        texts=frozenset(text.casefold() for text, _ in texts),
        searchable=frozenset({email, *(text for text, sought in texts if sought)}),
    )


def erase(session: Session, person: Person, *, who: str, why: str = "") -> dict[str, int]:
    """Erase the person in the caller's transaction; return how many rows of each kind changed.

    The audit records it with a hash of the address, so that the line can be found by the address.
    """
    if session.get_bind().dialect.name == "sqlite":
        session.connection().exec_driver_sql(
            "PRAGMA secure_delete=ON"
        )  # or the old text stays in the file's free space
    counts = {
        "events": sum(
            _forget_event(entry, person)
            for entry in session.scalars(select(LogEntry).where(LogEntry.id.in_(person.events)))
        ),
        "deliveries": _clear(session, Delivery.error, Delivery.event_id.in_(person.events)),
        "failed tries": _forget_tries(session, person),
        "invalid_messages": sum(
            _forget_invalid_message(row, person)
            for row in session.scalars(select(InvalidMessageRow).execution_options(yield_per=100))
        ),
        "audit": _clear(session, AuditEntry.why, _audited(person)),
        "mentions elsewhere": _forget_mentions(session, person.email),
    }
    session.flush()
    counts |= {what: eraser(session, person) for what, eraser in _erasers.items()}
    audit.record(
        session,
        who=who,
        action="erase",
        target=f"customer {digest(person.email)}",
        why=redact(why, person.email),
    )
    return counts


def digest(email: str) -> str:
    """The name under which the audit knows an address: its SHA-256, in small letters."""
    return hashlib.sha256(email.casefold().encode()).hexdigest()


def redact(text: str, email: str) -> str:
    """Replace the address in the text, in any case of letters."""
    return re.sub(re.escape(email), ERASED, text, flags=re.IGNORECASE)


def redact_column(session: Session, column: InstrumentedAttribute[Any], email: str) -> int:
    """Replace the address in a column of texts; return how many rows changed."""
    mentions = func.lower(column).contains(email.lower(), autoescape=True)
    rows = session.scalars(select(column.class_).where(mentions)).all()
    for row in rows:
        setattr(row, column.key, redact(getattr(row, column.key), email))
    return len(rows)


def _personal_values(entry: LogEntry) -> Iterator[tuple[Personal, str]]:
    known = stored_as(entry.type, entry.version)
    return personal_values(known, entry.data) if known else iter(())


def _identities(entry: LogEntry) -> set[str]:
    return {text.casefold() for marker, text in _personal_values(entry) if marker.identifies}


def _is_about(entry: LogEntry, email: str) -> bool:
    """Whether the event is about the person; of one that this process does not know, whether any text in it is the address."""
    if stored_as(entry.type, entry.version):
        return email.casefold() in _identities(entry)
    return any(text.casefold() == email.casefold() for text in _texts(entry.data))


def _texts(value: Any) -> Iterator[str]:
    """Every text in data of unknown shape."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _mentioning(session: Session, email: str) -> list[LogEntry]:
    return list(
        session.scalars(select(LogEntry).where(_mentions(cast(LogEntry.data, Text), email)))
    )


def _mentions(column: Any, email: str) -> Any:
    return func.lower(column).contains(json.dumps(email.lower())[1:-1], autoescape=True)


def _forget_event(entry: LogEntry, person: Person) -> bool:
    known = stored_as(entry.type, entry.version)
    data = erased(known, entry.data) if known else _without_texts(entry.data, person)
    actor = {name: value for name, value in entry.actor.items() if name not in ("ip", "agent")}
    changed = (data, actor) != (entry.data, entry.actor)
    if changed:
        entry.data, entry.actor = data, actor
    return changed


def _without_texts(value: Any, person: Person) -> Any:
    """Data of an event that this process does not know, without what others tell of the person."""
    if isinstance(value, dict):
        return {name: _without_texts(each, person) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_texts(each, person) for each in value]
    if isinstance(value, str) and value.casefold() == person.email.casefold():
        return ERASED_EMAIL
    return ERASED if isinstance(value, str) and value.casefold() in person.texts else value


def _clear(session: Session, column: Any, where: Any) -> int:
    changed = (
        update(column.class_).where(where, column.not_in(("", ERASED))).values({column: ERASED})
    )
    return int(session.execute(changed.execution_options(synchronize_session=False)).rowcount)  # type: ignore[attr-defined]


def _forget_tries(session: Session, person: Person) -> int:
    theirs = Attempt.event_id.in_(person.events)
    return max(_clear(session, Attempt.message, theirs), _clear(session, Attempt.traceback, theirs))


def _audited(person: Person) -> Any:
    """Lines about their orders and deliveries: why somebody did it is a free text."""
    ids = [str(id) for id in person.events]
    return or_(
        AuditEntry.target.in_(person.subjects), func.substr(AuditEntry.target, 1, 36).in_(ids)
    )


def _forget_invalid_message(row: InvalidMessageRow, person: Person) -> bool:
    sought = {
        form for text in person.searchable if len(text) >= SHORTEST_SOUGHT for form in _forms(text)
    }
    haystack = b"\n".join((row.headers.encode(), row.error.encode(), *_readings(row.body))).lower()
    found = any(form in haystack for form in sought)
    if found:
        row.body, row.headers, row.error = ERASED.encode(), "{}", ""
    return found


def _forms(text: str) -> set[bytes]:
    """A text as it may lie in a message: as it is, and as JSON writes it."""
    return {text.lower().encode(), json.dumps(text)[1:-1].lower().encode()}


def _readings(body: bytes) -> Iterator[bytes]:
    """A body, and what is written in base64 in it: kombu's envelopes are."""
    yield body
    for part in _BASE64.findall(body):
        try:
            yield base64.b64decode(part)
        except binascii.Error:
            continue


_FREE_TEXTS: tuple[InstrumentedAttribute[Any], ...] = (
    *(AuditEntry.who, AuditEntry.target, AuditEntry.why),
    SubscriptionRow.paused_why,
    Delivery.error,
    *(Attempt.message, Attempt.traceback),
)


def _forget_mentions(session: Session, email: str) -> int:
    """Replace the address in free texts and in events about other people."""
    count = sum(redact_column(session, column, email) for column in _FREE_TEXTS)
    for entry in _mentioning(session, email):
        entry.data = json.loads(redact(json.dumps(entry.data), json.dumps(email)[1:-1]))
        count += 1
    return count
