"""The person to erase: the events about them, and the personal texts by which they are found."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from events.event import stored_as
from events.personal import Personal, personal_values
from events.tables import LogEntry


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
    own = [entry for entry in mentioning(session, email) if _is_about(entry, email)]
    about = {entry.subject for entry in own if entry.subject} | set(subjects)
    entries = {entry.id: entry for entry in own}
    for entry in session.scalars(select(LogEntry).where(LogEntry.subject.in_(about))):
        # An event with another identity is about another person, under the same subject.
        if not _identities(entry) or _is_about(entry, email):
            entries[entry.id] = entry
    found = [pair for entry in entries.values() for pair in _personal_values(entry)]
    identifying = {text for marker, text in found if marker.searchable} | set(searchable)
    texts = {text for _, text in found} | identifying
    return Person(
        email,
        frozenset(about),
        tuple(sorted(entries)),
        texts=frozenset(text.casefold() for text in texts),
        searchable=frozenset({email, *identifying}),
    )


def mentioning(session: Session, email: str) -> list[LogEntry]:
    """Return the events whose data contain the address, in any case of letters."""
    data = func.lower(cast(LogEntry.data, Text))
    mentions = data.contains(json.dumps(email.lower())[1:-1], autoescape=True)
    return list(session.scalars(select(LogEntry).where(mentions)))


def _is_about(entry: LogEntry, email: str) -> bool:
    if stored_as(entry.type, entry.version):
        return email.casefold() in _identities(entry)
    # This process does not know the event: any text in it may be the address.
    return any(text.casefold() == email.casefold() for text in _texts(entry.data))


def _identities(entry: LogEntry) -> set[str]:
    return {text.casefold() for marker, text in _personal_values(entry) if marker.identifies}


def _personal_values(entry: LogEntry) -> Iterator[tuple[Personal, str]]:
    known = stored_as(entry.type, entry.version)
    return personal_values(known, entry.data) if known else iter(())


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in data of unknown shape."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
