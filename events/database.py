"""The one way to the database: `transaction()` to write, `reading()` to read."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from events.errors import TransactionNotStarted
from events.settings import settings

# A server that vanished without a farewell is noticed after ten seconds instead of a quarter of an hour.
NETWORK: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
PATIENCE = 30.0  # seconds a writer of SQLite waits for its turn: longer than a handler may take
_TRANSIENT = (
    "40001",
    "40P01",
    "55P03",
    "57P01",
    "57P02",
    "57P03",
    "08",
)  # SQLSTATE: serialization, deadlock, lock, shutdown, connection
_FULL, _READ_ONLY = (
    "its disk is full: make room",
    "it is read-only: make it writable, or name the one that is in DATABASE_URL",
)
_BY_CODE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_IOERR: "its disk is full or fails: make room, or look into the machine's log",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened: see whether its folder is there and writable",
}
_BY_STATE = {
    "53100": _FULL,
    "53300": "it has no connection left: raise max_connections, or run fewer processes",
    "53": "it lacks memory: give it more",
    "25006": _READ_ONLY,
    "58": "its disk fails: look into the server's log",
}


class Database:
    """One database with a way to write and a way to read.

    On SQLite a writer begins with BEGIN IMMEDIATE: a deferred transaction that turns into a writer fails at once when
    another wrote meanwhile, whatever the timeout. Readers begin deferred, on an engine of their own, and wait for nobody.
    `patience` is how many seconds a writer waits for its turn or for a lock; on PostgreSQL only one below the default is heeded.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        self.url = make_url(url)
        self._patience = patience
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self.writer = self._sqlite(self.url, "BEGIN IMMEDIATE") if self.sqlite else self._postgres()
        self.reader = self._sqlite(_existing(self.url), "BEGIN") if self.sqlite else self.writer
        if self.sqlite:
            event.listen(self.writer, "do_connect", self._make_folder)

    def _postgres(self) -> Engine:
        options = "-c timezone=utc -c idle_in_transaction_session_timeout=60000 -c client_connection_check_interval=5000"
        if self._patience < PATIENCE:
            options += f" -c lock_timeout={int(self._patience * 1000)}"
        return create_engine(
            self.url,
            hide_parameters=True,
            pool_pre_ping=True,
            max_overflow=20,
            connect_args=NETWORK | {"options": options},
        )

    def _sqlite(self, url: URL, begin: str) -> Engine:
        alone: dict[str, Any] = {
            "isolation_level": None,
            "timeout": self._patience,
            "check_same_thread": False,
        }
        engine = create_engine(url, hide_parameters=True, connect_args=alone)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", partial(_begin, begin))
        return engine

    def _make_folder(self, *_: Any) -> None:
        if self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits when the block ends, and rolls back when it fails."""
        with Session(self.writer, expire_on_commit=False) as session, session.begin():
            try:
                yield session
            except DBAPIError:  # the statement has come to its end
                raise
            except BaseException:
                _cancel_running_statement(session)
                raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session to read with; what is written through it is rolled back."""
        with Session(self.reader, expire_on_commit=False, autoflush=False) as session:
            yield session

    def close(self) -> None:
        """Close every connection."""
        self.writer.dispose()
        self.reader.dispose()


def _cancel_running_statement(session: Session) -> None:
    """End a statement that was left while it ran, as Celery's soft time limit leaves it.

    psycopg cannot roll back then, and the error of that would hide the true one; the server would go on, and hold the locks of every
    row that the transaction touched.
    """
    if session.get_bind().dialect.name != "postgresql" or not session.in_transaction():
        return
    try:
        connection: Any = session.connection().connection.dbapi_connection
        if (
            connection is not None
            and connection.info.transaction_status == TransactionStatus.ACTIVE
        ):
            connection.cancel_safe(timeout=2.0)
            session.invalidate()
    except (SQLAlchemyError, psycopg.Error):  # it is gone already, and its statement with it
        return


def _existing(url: URL) -> URL:
    """The same file for one who reads: opened if it is there, and not made if it is not."""
    return url.set(
        database=f"file:{quote(url.database or '')}", query={"mode": "rw", "uri": "true"}
    )


def _begin(statement: str, connection: Connection) -> None:
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError:
        raise
    except (
        Exception
    ) as error:  # Celery's soft time limit, while somebody else was writing all the time
        raise TransactionNotStarted(
            f"{type(error).__name__} while waiting for the database"
        ) from error


def _set_up_sqlite(connection: Any, _: Any) -> None:
    # FULL: an accepted order survives a power cut, not only a crash of the process.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


_database: Database | None = None


def database() -> Database:
    """This process's database, from `DATABASE_URL` unless `use` said otherwise."""
    if _database is None:
        use(Database(settings().database_url))
    assert _database is not None
    return _database


def use(chosen: Database | None) -> None:
    """Make `chosen` this process's database; `None` forgets it."""
    global _database
    _database = chosen


def transaction() -> AbstractContextManager[Session]:
    """A session on this process's database that commits when the block ends: the one way to write."""
    return database().transaction()


def reading() -> AbstractContextManager[Session]:
    """A session on this process's database to read with."""
    return database().reading()


def forget_after_fork() -> None:
    """A forked child opens connections of its own: two processes on one socket corrupt each other."""
    os.register_at_fork(after_in_child=lambda: use(None))


def sanitize_text(text: str, limit: int) -> str:
    """The first `limit` characters of a text in a form that every database takes: PostgreSQL refuses NUL, none takes half a character."""
    return (
        text[:limit].replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()[:limit]
    )


def unavailable_reason(error: BaseException) -> str | None:
    """Why the database takes nothing now although it is there, and what mends it; `None` if it is something else.

    Nothing is lost by it: what was asked is rolled back, and goes on by itself when the database takes it again.
    """
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return _BY_CODE.get(code & 0xFF)  # the rest of an extended code tells where it was noticed
    state = getattr(error.orig, "sqlstate", None) or ""
    return next((why for known, why in _BY_STATE.items() if state.startswith(known)), None)


def describe_error(error: Exception) -> str:
    """The first line of what the database says, without the statement, and what mends it where that is known. Further lines hold values."""
    said = str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
    mend = unavailable_reason(error)
    return f"{said}; {mend}" if mend else said


def is_transient(error: BaseException) -> bool:
    """Whether the database failed in a way that the same statements may survive: a lock, a deadlock, a lost connection, a full disk."""
    if isinstance(error, TransactionNotStarted):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if (
        error.connection_invalidated
        or "database is locked" in str(error.orig)
        or unavailable_reason(error)
    ):
        return True
    state = getattr(error.orig, "sqlstate", None)
    return bool(state and state.startswith(_TRANSIENT)) or (
        state is None
        and type(error.orig).__module__.startswith("psycopg")
        and error.__class__.__name__ == "OperationalError"
    )
