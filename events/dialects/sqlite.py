"""SQLite in WAL mode."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from events.dialects import direct
from events.dialects.dialect import POOL_SIZE, Dialect, Engines, LazyEngine
from events.dialects.write_lock import WriteLock
from events.errors import TransactionNotStarted

NO_TIME = 0.1  # seconds of waiting that need no second look at the timeout
_NAMED = sqlite.dialect(paramstyle="named")  # for values in a dict


class SQLite(Dialect):
    """SQLite in WAL mode.

    A writer begins with BEGIN IMMEDIATE: a deferred transaction that turns into a writer fails at
    once when another wrote meanwhile, whatever the timeout. Before it, it takes its turn at a
    queueing lock, because SQLite's own busy handler sleeps and serves nobody in turn. Readers begin
    deferred, on an engine of their own, and wait for nobody.
    """

    name = "sqlite"
    insert = staticmethod(sqlite.insert)
    compiler = _NAMED
    groups_at_once = 1  # its one write lock

    def json_equals(
        self, column: Any, path: tuple[str | int, ...], text: str
    ) -> ColumnElement[bool]:
        """Return whether the value is `text`; SQLite makes numbers of `true` and `false`."""
        if text in ("true", "false"):
            steps = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
            return func.json_type(column, f"${steps}") == text
        return super().json_equals(column, path, text)

    def engines(
        self, url: URL, lock_timeout: float, *, urgent: bool, idle_timeout: float
    ) -> Engines:
        """Return engines whose writers take turns."""
        options: dict[str, Any] = {"timeout": lock_timeout}
        engine = partial(_sqlite_engine, options=options)
        lock = WriteLock(url.database, lock_timeout, urgent=urgent) if url.database else None
        write = partial(_begin_write, lock, lock_timeout)
        reader = LazyEngine(lambda: engine(_existing(url), begin=_begin_read, synchronous="FULL"))
        return Engines(
            # FULL: an accepted order survives a power cut, not only a crash of the process.
            writer=LazyEngine(partial(engine, url, begin=write, synchronous="FULL")),
            relaxed=LazyEngine(partial(engine, url, begin=write, synchronous="NORMAL")),
            reader=reader,
            snapshot=reader,
        )

    def is_aborted(self, session: Session) -> bool:
        """Ask the driver: SQLite itself rolls back after some errors, such as that of a disk."""
        connection: Any = session.connection().connection.dbapi_connection
        return not connection.in_transaction

    def next_keys(
        self, session: Session, key: Column[int], skipped: ColumnElement[int], count: int
    ) -> Sequence[int]:
        """Count on from the highest key: the transaction has the write lock."""
        found = direct.fetch(session.connection(), _highest(key, skipped), {}, by=_NAMED)
        highest = int(found[0][0] or 0)
        return range(highest + 1, highest + 1 + count)

    def insert_rows(
        self, session: Session, table: Table, rows: Sequence[dict[str, Any]], *, notify: str = ""
    ) -> None:
        """Insert them on the driver's cursor: with `Connection.execute` an order took longer."""
        statement = _insert_of(table, tuple(rows[0]))
        direct.execute_many(session.connection(), statement, rows, by=_NAMED)

    def overwrite_deleted_rows(self, session: Session) -> None:
        """Switch secure_delete on, or the old text stays in the file's free space."""
        session.connection().exec_driver_sql("PRAGMA secure_delete=ON")


@cache
def _insert_of(table: Table, names: tuple[str, ...]) -> Any:
    """Return the statement that inserts rows with these columns and the defaults of the others."""
    return insert(table).values(direct.fixed_defaults(table, names))


@cache
def _highest(key: Column[int], skipped: ColumnElement[int]) -> Select[int]:
    highest = select(func.coalesce(func.max(key), 0)).scalar_subquery()
    return select(func.max(highest, skipped))  # the function of two values, not the aggregate


def _sqlite_engine(url: URL, *, options: dict[str, Any], begin: Any, synchronous: str) -> Engine:
    arguments = options | {"isolation_level": None, "check_same_thread": False}
    engine = create_engine(url, hide_parameters=True, pool_size=POOL_SIZE, connect_args=arguments)
    event.listen(engine, "connect", partial(_set_up, synchronous))
    event.listen(engine, "begin", begin)
    if "mode" not in url.query:
        event.listen(engine, "do_connect", partial(_make_file, url))
        event.listen(engine, "checkin", _release_lock)
    return engine


def _make_file(url: URL, *_: Any) -> None:
    """Make the missing file of a database, with its folder, for its user alone.

    SQLite gives the files beside it the same mode. One that exists is never opened here: to close
    it would release the locks that other connections of the process have on it.
    """
    if not url.database or url.database == ":memory:" or "uri" in url.query:
        return
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    file = Path(os.path.realpath(url.database))  # of a link, the file that it leads to
    with suppress(OSError):  # it exists, or cannot be made: SQLite itself says that best
        file.touch(mode=0o600, exist_ok=False)


def _existing(url: URL) -> URL:
    """Return the address of the same file for a reader, who must not make a missing one."""
    return url.set(
        database=f"file:{quote(url.database or '')}", query={"mode": "rw", "uri": "true"}
    )


def _begin_write(lock: WriteLock | None, timeout: float, connection: Connection) -> None:
    began = time.monotonic()
    if lock is not None and "turn" not in connection.info:
        with _not_started():
            connection.info["turn"] = lock.acquire()
    _set_busy_timeout(connection, timeout, time.monotonic() - began)
    _begin("BEGIN IMMEDIATE", connection)


def _set_busy_timeout(connection: Connection, timeout: float, waited: float) -> None:
    """Let SQLite's own lock have only the time that is left of the timeout."""
    left = timeout if waited < NO_TIME else max(0.0, timeout - waited)
    if connection.info.get("busy_timeout", timeout) != left:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={int(left * 1000)}")
        connection.info["busy_timeout"] = left


def _release_lock(_: Any, record: Any) -> None:
    turn = record.info.pop("turn", None)
    if turn is not None:
        turn.release()


def _begin_read(connection: Connection) -> None:
    """Begin without SQLAlchemy's path of a statement, which took a third of a look-up.

    A deferred BEGIN reads and locks nothing, so it cannot fail.
    """
    connection.connection.driver_connection.execute("BEGIN")  # type: ignore[union-attr]


def _begin(statement: str, connection: Connection) -> None:
    with _not_started():
        connection.exec_driver_sql(statement)


@contextmanager
def _not_started() -> Iterator[None]:
    """Say that nothing was begun when Celery's soft time limit ends the wait for other writers."""
    try:
        yield
    except DBAPIError:
        raise
    except Exception as error:
        raise TransactionNotStarted(
            f"{type(error).__name__} while waiting for the database"
        ) from error


def _set_up(synchronous: str, connection: Any, _: Any) -> None:
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
