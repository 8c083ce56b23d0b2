"""The names that a search of the shop's events and dead letters knows."""

from collections.abc import Callable

from events.search.query import DEAD_LETTER_FIELDS, EVENT_FIELDS, Query, Rule, parse
from tasks.commands import order_number

_SUBJECT: dict[str, Rule] = {"subject": order_number}  # `1042` is ORD-1042


def events_query(text: str) -> Query:
    """Return a query of the event log. Raises a `ValueError` that names the position."""
    return parse(text, EVENT_FIELDS | _SUBJECT)


def dead_letters_query(text: str) -> Query:
    """Return a query of the dead letters. Raises a `ValueError` that names the position."""
    return parse(text, DEAD_LETTER_FIELDS | _SUBJECT)


QUERIES: dict[str, Callable[[str], Query]] = {
    "events": events_query,
    "dead-letters": dead_letters_query,
}
