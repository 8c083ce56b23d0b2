"""The differences between SQLite and PostgreSQL: connect, begin, wake, lock, upsert."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.orm import Session

from events.errors import TransactionNotStarted
from events.write_lock import WriteLock

# A server that vanished without a farewell is noticed after ten seconds, not a quarter of an hour.
NETWORK: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
POOL_SIZE = 10  # connections that are kept: the threads of a batch of calls, and some more
IDLE_LIMIT = 2.0  # seconds after which a connection is tested before it is used again
LOCK_TIMEOUT = 30.0  # seconds that a writer waits for its turn: longer than a handler may take


@dataclass(frozen=True)
class Engines:
    """The ways into one database.

    `relaxed` writes marks that are no promises: its commits do not wait for the disk, and the
    latest may be undone by a power cut.
    """

    writer: Engine
    relaxed: Engine
    reader: Engine

    def dispose(self) -> None:
        """Close every connection."""
        for engine in (self.writer, self.relaxed, self.reader):
            engine.dispose()


class Dialect(Protocol):
    """The operations that the two databases do in different ways."""

    name: ClassVar[str]
    insert: ClassVar[Any]  # the dialect's `insert`, which knows ON CONFLICT

    def engines(self, url: URL, lock_timeout: float, *, urgent: bool) -> "Engines":
        """Return the engines; those of an `urgent` process go before others where writers queue."""

    def notify(self, session: Session, channel: str) -> None:
        """Wake the listeners of `channel` when the transaction commits."""
        return

    def next_key(self, session: Session, table: str, column: str) -> int:
        """Return the next value of an auto-incremented key, for a row that is inserted now."""

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


_NEXT_VALUE = text("SELECT nextval(pg_get_serial_sequence(:table, :column))")


class PostgreSQL(Dialect):
    """PostgreSQL by psycopg 3."""

    name = "postgresql"
    insert = staticmethod(postgresql.insert)

    def engines(self, url: URL, lock_timeout: float, *, urgent: bool) -> "Engines":
        """Return engines of which only a lock timeout below the default is set."""
        options = (
            "-c timezone=utc -c idle_in_transaction_session_timeout=60000"
            " -c client_connection_check_interval=5000"
        )
        if lock_timeout < LOCK_TIMEOUT:
            options += f" -c lock_timeout={int(lock_timeout * 1000)}"
        writer = self._engine(url, options)
        return Engines(
            writer=writer,
            relaxed=self._engine(url, f"{options} -c synchronous_commit=off"),
            # Without BEGIN and ROLLBACK: each statement has a snapshot of its own in any case.
            reader=writer.execution_options(isolation_level="AUTOCOMMIT"),
        )

    def _engine(self, url: URL, options: str) -> Engine:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=POOL_SIZE,
            max_overflow=20,
            connect_args=NETWORK | {"options": options},
        )
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _ping_if_idle)
        return engine

    def notify(self, session: Session, channel: str) -> None:
        """Send NOTIFY."""
        session.execute(text(f"NOTIFY {channel}"))

    def next_key(self, session: Session, table: str, column: str) -> int:
        """Take the next value of the column's sequence."""
        names = {"table": table, "column": column}
        return int(session.scalar(_NEXT_VALUE, names))

    def lock_table(self, session: Session, table: str) -> None:
        """Take the table's exclusive lock, which readers do not wait for."""
        session.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))

    def lock_shared(self, session: Session, table: str) -> None:
        """Take a lock that conflicts with the exclusive one only; to lock each row would write it."""
        session.execute(text(f"LOCK TABLE {table} IN ROW SHARE MODE"))

    def cancel_running_statement(self, session: Session) -> None:
        """Cancel the statement that Celery's soft time limit left.

        psycopg cannot roll back then, and the error of that would hide the true one; the server
        would go on, and hold the locks of every row that the transaction touched.
        """
        if not session.in_transaction():
            return
        try:
            connection: Any = session.connection().connection.dbapi_connection
            status = connection and connection.info.transaction_status
            if status == TransactionStatus.ACTIVE:
                connection.cancel_safe(timeout=2.0)
                session.invalidate()
        except (SQLAlchemyError, psycopg.Error):  # the connection is gone, its statement with it
            return


class SQLite(Dialect):
    """SQLite in WAL mode.

    A writer begins with BEGIN IMMEDIATE: a deferred transaction that turns into a writer fails at
    once when another wrote meanwhile, whatever the timeout. Before it, it takes its turn at a
    queueing lock, because SQLite's own busy handler sleeps and serves nobody in turn. Readers begin
    deferred, on an engine of their own, and wait for nobody.
    """

    name = "sqlite"
    insert = staticmethod(sqlite.insert)

    def engines(self, url: URL, lock_timeout: float, *, urgent: bool) -> "Engines":
        """Return engines whose writers take turns."""
        options: dict[str, Any] = {"timeout": lock_timeout}
        engine = partial(_sqlite_engine, options=options)
        lock = WriteLock(url.database, lock_timeout, urgent=urgent) if url.database else None
        return Engines(
            # FULL: an accepted order survives a power cut, not only a crash of the process.
            writer=engine(url, begin=partial(_begin_write, lock), synchronous="FULL"),
            relaxed=engine(url, begin=partial(_begin_write, lock), synchronous="NORMAL"),
            reader=engine(_existing(url), begin=partial(_begin, "BEGIN"), synchronous="NORMAL"),
        )

    def next_key(self, session: Session, table: str, column: str) -> int:
        """Return the highest key and one: this transaction has the write lock."""
        return int(session.scalar(text(f"SELECT coalesce(max({column}), 0) + 1 FROM {table}")))  # noqa: S608  names of ours

    def overwrite_deleted_rows(self, session: Session) -> None:
        """Switch secure_delete on, or the old text stays in the file's free space."""
        session.connection().exec_driver_sql("PRAGMA secure_delete=ON")


DIALECTS: dict[str, Dialect] = {each.name: each for each in (SQLite(), PostgreSQL())}


def dialect_of(session: Session) -> Dialect:
    """Return the dialect of the session's database."""
    return DIALECTS[session.get_bind().dialect.name]


def _note_use(_: Any, record: Any) -> None:
    record.info["used_at"] = monotonic()


def _ping_if_idle(connection: Any, record: Any, _: Any) -> None:
    """Test a connection that was idle: to test each time costs a round trip for every transaction."""
    if monotonic() - record.info.get("used_at", 0.0) < IDLE_LIMIT:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error


def _sqlite_engine(url: URL, *, options: dict[str, Any], begin: Any, synchronous: str) -> Engine:
    arguments = options | {"isolation_level": None, "check_same_thread": False}
    engine = create_engine(url, hide_parameters=True, pool_size=POOL_SIZE, connect_args=arguments)
    event.listen(engine, "connect", partial(_set_up, synchronous))
    event.listen(engine, "begin", begin)
    if "mode" not in url.query:
        event.listen(engine, "do_connect", partial(_make_folder, url))
        event.listen(engine, "checkin", _release_lock)
    return engine


def _make_folder(url: URL, *_: Any) -> None:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _existing(url: URL) -> URL:
    """Return the address of the same file for a reader, who must not make a missing one."""
    return url.set(
        database=f"file:{quote(url.database or '')}", query={"mode": "rw", "uri": "true"}
    )


def _begin_write(lock: WriteLock | None, connection: Connection) -> None:
    if lock is not None and "turn" not in connection.info:
        try:
            connection.info["turn"] = lock.acquire()
        except Exception as error:  # Celery's soft time limit
            raise TransactionNotStarted(
                f"{type(error).__name__} while waiting for the database"
            ) from error
    _begin("BEGIN IMMEDIATE", connection)


def _release_lock(_: Any, record: Any) -> None:
    turn = record.info.pop("turn", None)
    if turn is not None:
        turn.release()


def _begin(statement: str, connection: Connection) -> None:
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError:
        raise
    except Exception as error:  # Celery's soft time limit, while others were writing all the time
        raise TransactionNotStarted(
            f"{type(error).__name__} while waiting for the database"
        ) from error


def _set_up(synchronous: str, connection: Any, _: Any) -> None:
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
