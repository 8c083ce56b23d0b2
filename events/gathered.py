"""Gathered rows: those that the works of a group write, one statement for each kind of row.

A group of commits gathers what it inserts, and a batch of handlers what they write `later`. Outside
of both each row is written at once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session

Rows = Sequence[dict[str, Any]]
Insert = Callable[[Session, Rows], None]
Fetch = Callable[[Session, int], Sequence[int]]  # so many new keys
_GROUP, _LATER = "tidings.group", "tidings.later"


class _Group:
    """The rows of a group so far, by the function that inserts them, and the keys it has left."""

    def __init__(self, session: Session, size: int) -> None:
        self._session, self._size = session, size
        self.rows: dict[Insert, list[dict[str, Any]]] = {}
        self._keys: dict[Fetch, deque[int]] = {}

    def insert(self) -> None:
        rows, self.rows = self.rows, {}
        for insert, gathered in rows.items():
            insert(self._session, gathered)

    def next_key(self, fetch: Fetch) -> int:
        keys = self._keys.setdefault(fetch, deque())
        if not keys:
            self.insert()  # `fetch` may look for the highest key
            keys.extend(fetch(self._session, self._size))
        return keys.popleft()


@contextmanager
def gathering(session: Session, size: int) -> Iterator[None]:
    """Insert the rows of `size` works when the block ends; no statement sees them before."""
    group = session.info[_GROUP] = _Group(session, size)
    try:
        yield
    finally:
        del session.info[_GROUP]
    group.insert()


def insert_rows(session: Session, insert: Insert, rows: Rows) -> None:
    """Call `insert` with the rows: with those of the whole group, or now, as within a savepoint."""
    group = session.info.get(_GROUP)
    if group is None or session.in_nested_transaction():
        insert(session, rows)
    else:
        group.rows.setdefault(insert, []).extend(rows)


def next_key(session: Session, fetch: Fetch) -> int:
    """Return a key for a row; `fetch` gets those of the whole group, or one."""
    group = session.info.get(_GROUP)
    return fetch(session, 1)[0] if group is None else int(group.next_key(fetch))


@contextmanager
def writing_later(session: Session) -> Iterator[None]:
    """Execute what the handlers of the block write later when it ends, as few statements."""
    later: dict[Any, list[dict[str, Any]]] = {}
    session.info[_LATER] = later
    try:
        yield
    finally:
        del session.info[_LATER]
    for statement, rows in later.items():
        session.execute(statement, rows)


def execute_later(session: Session, statement: Any, rows: Rows) -> None:
    """Execute a statement with the rows: with those of the whole batch, or now.

    Within a savepoint it is now, for a rollback to it undoes the rows.
    """
    later = session.info.get(_LATER)
    if later is None or session.in_nested_transaction():
        session.execute(statement, list(rows))
    else:
        later.setdefault(statement, []).extend(rows)
