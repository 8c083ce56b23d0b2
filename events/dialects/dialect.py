"""The operations that SQLite and PostgreSQL do in different ways."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    Text,
    bindparam,
    cast,
)
from sqlalchemy import Dialect as DatabaseDialect
from sqlalchemy.orm import Session

LOCK_TIMEOUT = 30.0  # seconds that a writer waits for its turn: longer than a handler may take
# Seconds without a statement after which PostgreSQL ends a transaction: its client may be gone.
IDLE_TIMEOUT = 60.0
POOL_SIZE = 10  # connections that are kept: the threads of a batch of calls, and some more


class LazyEngine:
    """An engine that is made when it is first used: the parent of a pool needs one of three.

    Each takes 0.5 MB of a forked process (docs/performance.md).
    """

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    def get(self) -> Engine:
        """Return the engine, the same each time."""
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
            return self._engine

    def dispose(self) -> None:
        """Close every connection."""
        if self._engine is not None:
            self._engine.dispose()


@dataclass(frozen=True)
class Engines:
    """The ways into one database.

    `relaxed` writes marks that are no promises: its commits do not wait for the disk, and the
    latest may be undone by a power cut. All reads of one transaction of `snapshot` see one moment.
    """

    writer: LazyEngine
    relaxed: LazyEngine
    reader: LazyEngine
    snapshot: LazyEngine

    def dispose(self) -> None:
        """Close every connection."""
        for engine in (self.writer, self.relaxed, self.reader):
            engine.dispose()


def all_rows(connection: Connection, statement: Any, values: Mapping[str, Any]) -> Sequence[Any]:
    """Run a statement by SQLAlchemy; return its rows, if it has any."""
    result = connection.execute(statement, values)
    return result.all() if result.returns_rows else ()


class Dialect(Protocol):
    """The operations that the two databases do in different ways."""

    name: ClassVar[str]
    insert: ClassVar[Any]  # the dialect's `insert`, which knows ON CONFLICT
    compiler: ClassVar[DatabaseDialect]  # of statements for the driver's cursor
    groups_at_once: ClassVar[int]  # group commits of one process that are under way

    def __hash__(self) -> int:
        """Hash by the name: statements are built once for each dialect."""
        return hash(self.name)

    def engines(
        self, url: URL, lock_timeout: float, *, urgent: bool, idle_timeout: float
    ) -> Engines:
        """Return the engines; those of an `urgent` process go before others where writers queue."""

    def is_autocommitting(self, session: Session) -> bool:
        """Tell whether each statement of the session is committed by itself."""
        options = session.connection().get_execution_options()
        return options.get("isolation_level") == "AUTOCOMMIT"

    def is_aborted(self, session: Session) -> bool:
        """Tell whether an error has ended the open transaction: its commit would save nothing."""

    def fetch(
        self, connection: Connection, statement: Any, values: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Run a statement that is built once; return its rows, if it has any."""
        return all_rows(connection, statement, values)

    def notify(self, session: Session, channel: str) -> None:
        """Wake the listeners of `channel` when the transaction commits."""
        return

    def notifying(self, channel: str) -> Sequence[ColumnElement[Any]]:
        """Return what a statement returns beside its rows to do the work of `notify`, or nothing.

        It is sent only if the statement returns a row.
        """
        return ()

    def next_keys(
        self, session: Session, key: Column[int], skipped: ColumnElement[int], count: int
    ) -> Sequence[int]:
        """Return the next values of an auto-incremented key, for rows to insert.

        They are above all keys that were skipped: `skipped` is the highest of them.
        """

    def skip_keys(self, session: Session, key: Column[int], last: int) -> None:
        """Give no value up to `last` to an auto-incremented key, where the database counts them."""
        return

    def insert_rows(
        self, session: Session, table: Table, rows: Sequence[dict[str, Any]], *, notify: str = ""
    ) -> None:
        """Insert rows, which all have the same columns, and notify that channel, if any."""

    def is_one_of(self, column: Any, name: str) -> ColumnElement[bool]:
        """Return whether `column` is one of the values in the parameter `name`, a list."""
        found: ColumnElement[bool] = column.in_(bindparam(name, expanding=True))
        return found

    def is_locked(self, column: Any, rows: Select[Any]) -> ColumnElement[bool]:
        """Return whether `column` is one of `rows`, which are locked first, and once."""
        found: ColumnElement[bool] = column.in_(rows)
        return found

    def json_equals(
        self, column: Any, path: tuple[str | int, ...], text: str
    ) -> ColumnElement[bool]:
        """Return whether the value at `path` of a JSON column, written as text, is `text`."""
        return cast(column[path].as_string(), Text) == text

    def try_lock(self, session: Session, number: int) -> bool:
        """Lock a number of 64 bits until the transaction ends; false if another one has it.

        Where only one transaction writes at a time there is nothing to lock.
        """
        return True

    def lock_table(self, session: Session, table: str) -> None:
        """Wait until no other transaction writes to `table`, and keep others out."""
        return

    def lock_shared(self, session: Session, table: str) -> None:
        """Keep `lock_table` waiting until the transaction ends, and wait for it."""
        return

    def cancel_running_statement(self, session: Session) -> None:
        """End a statement that was left while it ran."""
        return

    def overwrite_deleted_rows(self, session: Session) -> None:
        """Overwrite the old text of rows that this connection changes from now on."""
        return
