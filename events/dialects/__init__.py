"""The differences between SQLite and PostgreSQL: connect, begin, wake, lock, upsert."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from events.dialects.conninfo import connection_parameters
from events.dialects.dialect import IDLE_TIMEOUT, LOCK_TIMEOUT, Dialect, Engines
from events.dialects.postgresql import PostgreSQL
from events.dialects.sqlite import SQLite

__all__ = [
    "DIALECTS",
    "IDLE_TIMEOUT",
    "LOCK_TIMEOUT",
    "Dialect",
    "Engines",
    "connection_parameters",
    "dialect_of",
    "fetch",
]

DIALECTS: dict[str, Dialect] = {each.name: each for each in (SQLite(), PostgreSQL())}


def dialect_of(session: Session) -> Dialect:
    """Return the dialect of the session's database."""
    return DIALECTS[session.get_bind().dialect.name]


def fetch(connection: Connection, statement: Any, values: Mapping[str, Any]) -> Sequence[Any]:
    """Run a statement that is built once, in the way that costs least; return its rows."""
    return DIALECTS[connection.dialect.name].fetch(connection, statement, values)
