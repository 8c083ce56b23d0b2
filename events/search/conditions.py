"""The conditions of a query in SQL: those that an index answers, and those that read each row."""

from typing import Any

from sqlalchemy import ColumnElement, Text, cast, literal, or_, select
from sqlalchemy.orm import Session

from events.dialects import dialect_of
from events.emails import email_forms
from events.lower_case import lowered
from events.search.query import Query, Term
from events.tables import Attempt, Delivery, LogEntry

_INDEXED = {
    "type": LogEntry.type,
    "subject": LogEntry.subject,
    "id": LogEntry.id,
    "correlation": LogEntry.correlation_id,
}


def indexed(query: Query) -> list[ColumnElement[bool]]:
    """Return the conditions on an event that an index answers."""
    return [_INDEXED[each.name] == each.value for each in query.terms if each.name in _INDEXED]


def read_of_rows(session: Session, query: Query) -> list[ColumnElement[bool]]:
    """Return the conditions on an event for which its row is read."""
    found = (_of_row(session, each) for each in query.terms)
    return [each for each in found if each is not None]


def _of_row(session: Session, term: Term) -> ColumnElement[bool] | None:
    if term.name in ("user", "tenant"):
        is_actor: ColumnElement[bool] = LogEntry.actor[term.name].as_string() == term.value
        return is_actor
    if term.name == "data":
        return _data_equals(session, term)
    return None


def _data_equals(session: Session, term: Term) -> ColumnElement[bool]:
    """Compare a value of the data; one that is an e-mail address is found by any spelling."""
    equals = dialect_of(session).json_equals(LogEntry.data, term.path, term.value)
    if "@" not in term.value:
        return equals
    written = lowered(cast(LogEntry.data[term.path].as_string(), Text))
    return or_(equals, written.in_(sorted(email_forms(term.value))))


def errors_of_event(query: Query) -> list[ColumnElement[bool]]:
    """Return the conditions on the errors of an event: of one of its deliveries or attempts."""
    return [
        or_(
            _some(Delivery.event_id == LogEntry.id, _contains(Delivery.error, term.value)),
            _some(Attempt.event_id == LogEntry.id, _contains(Attempt.message, term.value)),
        )
        for term in query.terms
        if term.name == "error"
    ]


def errors_of_delivery(query: Query) -> list[ColumnElement[bool]]:
    """Return the conditions on the errors of a delivery: the last one, or one before."""
    return [
        or_(
            _contains(Delivery.error, term.value),
            _some(
                Attempt.event_id == Delivery.event_id,
                Attempt.subscription == Delivery.subscription,
                _contains(Attempt.message, term.value),
            ),
        )
        for term in query.terms
        if term.name == "error"
    ]


def _some(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return an EXISTS that is asked row by row.

    Without the OFFSET PostgreSQL may read the whole table to make a hash of it.
    """
    return select(literal(1)).where(*where).offset(0).exists()


def _contains(column: Any, text: str) -> ColumnElement[bool]:
    """Look for a text in capital or small letters; `%` and `_` are meant as they are."""
    found: ColumnElement[bool] = column.icontains(text, autoescape=True)
    return found
