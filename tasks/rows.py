"""Rows that exist once, whoever comes first."""

from typing import Any, TypeVar

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from events import Base

Row = TypeVar("Row", bound=Base)


def add_missing(session: Session, kind: type[Row], *rows: dict[str, Any]) -> None:
    """Insert those rows whose key is not there yet."""
    if not rows:
        return
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    session.execute(dialect.insert(kind).on_conflict_do_nothing(), list(rows))


def locked(session: Session, kind: type[Row], key: str, **first: Any) -> Row:
    """The row with this key, made from `first` if there was none, and ours until the transaction ends.

    Two handlers that hear of one order at the same time, in whatever order, so take turns.
    """
    session.flush()
    add_missing(session, kind, {inspect(kind).primary_key[0].name: key, **first})
    return session.get_one(kind, key, with_for_update=True, populate_existing=True)
