"""The differences between SQLite and PostgreSQL: connect, begin, wake, lock, upsert."""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from events.errors import TransactionNotStarted

# A server that vanished without a farewell is noticed after ten seconds, not a quarter of an hour.
NETWORK: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
LOCK_TIMEOUT = 30.0  # seconds that a writer waits for its turn: longer than a handler may take


class Dialect(Protocol):
    """The operations that the two databases do in different ways."""

    name: ClassVar[str]
    insert: ClassVar[Any]  # the dialect's `insert`, which knows ON CONFLICT

    def engines(self, url: URL, lock_timeout: float) -> tuple[Engine, Engine]:
        """Return the engine to write with and the engine to read with."""

    def notify(self, session: Session, channel: str) -> None:
        """Wake the listeners of `channel` when the transaction commits."""
        return

    def lock_table(self, session: Session, table: str) -> None:
        """Wait until no other transaction writes to `table`, and keep others out."""
        return

    def cancel_running_statement(self, session: Session) -> None:
        """End a statement that was left while it ran."""
        return

    def overwrite_deleted_rows(self, session: Session) -> None:
        """Overwrite the old text of rows that this connection changes from now on."""
        return


class PostgreSQL(Dialect):
    """PostgreSQL by psycopg 3."""

    name = "postgresql"
    insert = staticmethod(postgresql.insert)

    def engines(self, url: URL, lock_timeout: float) -> tuple[Engine, Engine]:
        """Return one engine for both; only a lock timeout below the default is set."""
        options = (
            "-c timezone=utc -c idle_in_transaction_session_timeout=60000"
            " -c client_connection_check_interval=5000"
        )
        if lock_timeout < LOCK_TIMEOUT:
            options += f" -c lock_timeout={int(lock_timeout * 1000)}"
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            max_overflow=20,
            connect_args=NETWORK | {"options": options},
        )
        return engine, engine

    def notify(self, session: Session, channel: str) -> None:
        """Send NOTIFY."""
        session.execute(text(f"NOTIFY {channel}"))

    def lock_table(self, session: Session, table: str) -> None:
        """Take the table's exclusive lock, which readers do not wait for."""
        session.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))

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
    once when another wrote meanwhile, whatever the timeout. Readers begin deferred, on an engine
    of their own, and wait for nobody.
    """

    name = "sqlite"
    insert = staticmethod(sqlite.insert)

    def engines(self, url: URL, lock_timeout: float) -> tuple[Engine, Engine]:
        """Return an engine whose transactions take the write lock at once, and one for readers."""
        writer = self._engine(url, "BEGIN IMMEDIATE", lock_timeout)
        event.listen(writer, "do_connect", partial(_make_folder, url))
        return writer, self._engine(_existing(url), "BEGIN", lock_timeout)

    def _engine(self, url: URL, begin: str, lock_timeout: float) -> Engine:
        options: dict[str, Any] = {
            "isolation_level": None,
            "timeout": lock_timeout,
            "check_same_thread": False,
        }
        engine = create_engine(url, hide_parameters=True, connect_args=options)
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", partial(_begin, begin))
        return engine

    def overwrite_deleted_rows(self, session: Session) -> None:
        """Switch secure_delete on, or the old text stays in the file's free space."""
        session.connection().exec_driver_sql("PRAGMA secure_delete=ON")


DIALECTS: dict[str, Dialect] = {each.name: each for each in (SQLite(), PostgreSQL())}


def dialect_of(session: Session) -> Dialect:
    """Return the dialect of the session's database."""
    return DIALECTS[session.get_bind().dialect.name]


def _make_folder(url: URL, *_: Any) -> None:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _existing(url: URL) -> URL:
    """Return the address of the same file for a reader, who must not make a missing one."""
    return url.set(
        database=f"file:{quote(url.database or '')}", query={"mode": "rw", "uri": "true"}
    )


def _begin(statement: str, connection: Connection) -> None:
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError:
        raise
    except Exception as error:  # Celery's soft time limit, while others were writing all the time
        raise TransactionNotStarted(
            f"{type(error).__name__} while waiting for the database"
        ) from error


def _set_up(connection: Any, _: Any) -> None:
    # FULL: an accepted order survives a power cut, not only a crash of the process.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
