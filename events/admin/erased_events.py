"""Erasure of a person's data from events: those of the log, and those that are scheduled."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from events.admin.person import AnyEvent, Person, contains_email, is_about, is_of
from events.admin.slices import Stage
from events.emails import email_key, replace_email
from events.event import stored_as
from events.personal import ERASED, ERASED_EMAIL, erased
from events.tables import LogEntry, ScheduledEvent


def in_log(person: Person, event_ids: Sequence[UUID]) -> Stage:
    """Return the stage that erases events of the log."""
    left = list(event_ids)

    def change(session: Session, ids: Sequence[UUID], _: Any) -> int:
        del left[: len(ids)]
        rows = session.scalars(select(LogEntry).where(LogEntry.id.in_(ids)))
        return sum(_erase_event(entry, person) for entry in rows)

    return Stage(lambda _, limit: left[:limit], change)


def scheduled(person: Person) -> Stage:
    """Return the stage that erases the person from scheduled events, which stay scheduled."""
    after = ""
    mentioned = contains_email(ScheduledEvent.data, person.email)
    about = or_(ScheduledEvent.subject.in_(person.subjects), mentioned)

    def find(session: Session, limit: int) -> Sequence[str]:
        wanted = select(ScheduledEvent.key).where(about, ScheduledEvent.key > after)
        return session.scalars(wanted.order_by(ScheduledEvent.key).limit(limit)).all()

    def change(session: Session, keys: Sequence[str], _: Any) -> int:
        nonlocal after
        rows = session.scalars(select(ScheduledEvent).where(ScheduledEvent.key.in_(keys)))
        done = sum(_erase_scheduled(row, person) for row in rows)
        after = keys[-1] if keys else after
        return done

    return Stage(find, change)


def _erase_scheduled(entry: ScheduledEvent, person: Person) -> bool:
    """Erase an event about the person, or the mention in one about another."""
    under_theirs = entry.subject in person.subjects and is_of(entry, person.email)
    if under_theirs or is_about(entry, person.email):
        return _erase_event(entry, person)
    data = replace_email(entry.data, person.email, ERASED)
    changed = bool(data != entry.data)
    if changed:
        entry.data = data
    return changed


def _erase_event(entry: AnyEvent, person: Person) -> bool:
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
