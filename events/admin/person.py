"""The person to erase: the events about them, and the personal texts by which they are found."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, or_, select
from sqlalchemy.orm import Session

from events.emails import email_forms, email_key, email_spellings
from events.event import stored_as
from events.lower_case import lowered
from events.personal import ERASED, ERASED_EMAIL, Personal, personal_values
from events.tables import LogEntry, ScheduledEvent

AnyEvent = LogEntry | ScheduledEvent


@dataclass(frozen=True)
class Person:
    """A person: the address, the events about them with their subjects, and the personal texts.

    The `searchable` ones of the `texts` identify the person in a message of unknown shape.
    """

    email: str
    subjects: frozenset[str]
    events: tuple[UUID, ...]
    texts: frozenset[str]
    searchable: frozenset[str]

    @property
    def spellings(self) -> frozenset[str]:
        """The spellings of the address in lower case, with the host in ASCII and readable."""
        return email_spellings(self.email)


def find(
    session: Session,
    email: str,
    *,
    subjects: Collection[str] = (),
    searchable: Collection[str] = (),
) -> Person:
    """Return the person with this address, in whatever form it is written.

    `subjects` and `searchable` are subjects and texts that the caller knows already.
    """
    email = email_key(email)
    own = [entry for entry in mentioning(session, email) if is_about(entry, email)]
    about = {entry.subject for entry in own if entry.subject} | set(subjects)
    entries = {entry.id: entry for entry in own}
    for entry in session.scalars(select(LogEntry).where(LogEntry.subject.in_(about))):
        if is_of(entry, email):
            entries[entry.id] = entry
    found = [
        (marker, text)
        for entry in entries.values()
        for marker, text in _personal_values(entry)
        if text not in (ERASED, ERASED_EMAIL)  # of an erasure that was stopped
    ]
    identifying = {text for marker, text in found if marker.searchable}
    identifying |= set(searchable) - {ERASED, ERASED_EMAIL}
    texts = {text for _, text in found} | identifying
    return Person(
        email,
        frozenset(about),
        tuple(sorted(entries)),
        texts=frozenset(text.casefold() for text in texts),
        searchable=frozenset({*email_spellings(email), *identifying}),
    )


def mentioning(session: Session, email: str) -> list[LogEntry]:
    """Return the events whose data contain the address, in any of its spellings."""
    return list(session.scalars(select(LogEntry).where(contains_email(LogEntry.data, email))))


def contains_email(column: Any, email: str) -> ColumnElement[bool]:
    """Select the rows whose column, text or JSON, contains the address in any of its spellings.

    A longer address contains it too: `emails.mentions_email` tells it apart. JSON is stored with
    escapes. The lower case has more than ASCII on some databases only.
    """
    text = lowered(cast(column, Text))
    forms = {
        form for letters in email_forms(email) for form in (letters, json.dumps(letters)[1:-1])
    }
    return or_(*(text.contains(form, autoescape=True) for form in sorted(forms)))


def is_of(entry: AnyEvent, email: str) -> bool:
    """Tell whether an event under a subject of the person is about them.

    An event with another identity is about another person, under the same subject.
    """
    return not _identities(entry) or is_about(entry, email)


def is_about(entry: AnyEvent, email: str) -> bool:
    """Tell whether an event names this address as that of the person whom it is about."""
    if stored_as(entry.type, entry.version):
        return email_key(email) in _identities(entry)
    # This process does not know the event: any text in it may be the address.
    return any("@" in text and email_key(text) == email_key(email) for text in _texts(entry.data))


def _identities(entry: AnyEvent) -> set[str]:
    found = (email_key(text) for marker, text in _personal_values(entry) if marker.identifies)
    return {email for email in found if email != ERASED_EMAIL}


def _personal_values(entry: AnyEvent) -> Iterator[tuple[Personal, str]]:
    known = stored_as(entry.type, entry.version)
    return personal_values(known, entry.data) if known else iter(())


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in data of unknown shape."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
