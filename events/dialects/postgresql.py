"""PostgreSQL by psycopg 3."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from select import select as select_ready
from time import monotonic
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from sqlalchemy import (
    ARRAY,
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Select,
    Table,
    any_,
    bindparam,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.orm import Session

from events import clock
from events.dialects import direct, json_rows
from events.dialects.conninfo import connection_parameters
from events.dialects.dialect import LOCK_TIMEOUT, POOL_SIZE, Dialect, Engines, LazyEngine
from events.dialects.pooler import admit_pooler

CANCEL_TIMEOUT = 2.0  # seconds for the request, and for the end of the statement
IDLE_LIMIT = 2.0  # seconds after which a connection is tested before it is used again
_CLOCK = "SELECT clock_timestamp()"
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:number)")


class PostgreSQL(Dialect):
    """PostgreSQL by psycopg 3."""

    name = "postgresql"
    insert = staticmethod(postgresql.insert)
    compiler = psycopg_dialect.dialect()  # type: ignore[no-untyped-call]
    # One waits for the disk while the other inserts: 855 to 1,101 orders accepted a second, not 708
    # to 909 (docs/performance.md).
    groups_at_once = 2

    def engines(
        self, url: URL, lock_timeout: float, *, urgent: bool, idle_timeout: float
    ) -> Engines:
        """Return engines of which only a lock timeout below the default is set."""
        options = ""
        if lock_timeout < LOCK_TIMEOUT:
            options = f"-c lock_timeout={int(lock_timeout * 1000)}"
        engine = partial(self._engine, url, idle_timeout=idle_timeout)
        writer = LazyEngine(lambda: engine(options=options))

        def isolated(level: Any) -> LazyEngine:
            return LazyEngine(lambda: writer.get().execution_options(isolation_level=level))

        return Engines(
            writer=writer,
            relaxed=LazyEngine(lambda: engine(options=f"{options} -c synchronous_commit=off")),
            # Without BEGIN and ROLLBACK: each statement has a snapshot of its own in any case.
            reader=isolated("AUTOCOMMIT"),
            snapshot=isolated("REPEATABLE READ"),
        )

    def _engine(self, url: URL, *, options: str, idle_timeout: float) -> Engine:
        engine = create_engine(
            url,
            hide_parameters=True,
            isolation_level="READ COMMITTED",  # a role or a database may have another default
            pool_size=POOL_SIZE,
            max_overflow=20,
            connect_args=connection_parameters(url, options, idle_timeout=idle_timeout),
        )
        admit_pooler(engine)
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _ping_if_idle)
        return engine

    def is_autocommitting(self, session: Session) -> bool:
        """Ask the driver: an engine may have been made so."""
        connection: Any = session.connection().connection.dbapi_connection
        return bool(connection.autocommit)

    def is_aborted(self, session: Session) -> bool:
        """Ask the driver: the server answers COMMIT with a rollback then, which is no error."""
        connection: Any = session.connection().connection.dbapi_connection
        aborted: bool = connection.info.transaction_status == TransactionStatus.INERROR
        return aborted

    def fetch(
        self, connection: Connection, statement: Any, values: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Run it on the driver's cursor."""
        return direct.fetch(connection, statement, values)

    def notify(self, session: Session, channel: str) -> None:
        """Send NOTIFY."""
        session.connection().exec_driver_sql(f"NOTIFY {channel}")

    def notifying(self, channel: str) -> Sequence[ColumnElement[Any]]:
        """Call `pg_notify`: in one transaction the server keeps one of equal notifications."""
        return [func.pg_notify(channel, "")]

    def next_keys(
        self, session: Session, key: Column[int], skipped: ColumnElement[int], count: int
    ) -> Sequence[int]:
        """Take the next values of the column's sequence, which is above the skipped ones."""
        rows = self.fetch(session.connection(), _next_values(key), {"count": count})
        return [value for (value,) in rows]

    def skip_keys(self, session: Session, key: Column[int], last: int) -> None:
        """Move the column's sequence on, never back."""
        sequence = func.pg_get_serial_sequence(key.table.name, key.name)
        session.execute(select(func.setval(sequence, func.greatest(func.nextval(sequence), last))))

    def insert_rows(
        self, session: Session, table: Table, rows: Sequence[dict[str, Any]], *, notify: str = ""
    ) -> None:
        """Send all rows as one text: row by row, 800 rows took four times as long."""
        json_rows.insert(session.connection(), table, rows, notify=notify)

    def is_one_of(self, column: Any, name: str) -> ColumnElement[bool]:
        """Compare with an array: one text, so one prepared statement, for any number of values."""
        found: ColumnElement[bool] = column == any_(bindparam(name, type_=ARRAY(column.type)))
        return found

    def is_locked(self, column: Any, rows: Select[Any]) -> ColumnElement[bool]:
        """Compare with an array, which is made once and before the rows are looked for.

        A subselect in IN is run again for each row of a scan where the planner chooses that, and it
        does for a plan that it made while the table was small: each claim read the whole table.
        """
        found: ColumnElement[bool] = column == any_(func.array(rows.scalar_subquery()))
        return found

    def try_lock(self, session: Session, number: int) -> bool:
        """Take an advisory lock."""
        return bool(session.scalar(_TRY_LOCK, {"number": number}))

    def lock_table(self, session: Session, table: str) -> None:
        """Take the table's exclusive lock, which readers do not wait for."""
        session.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))

    def lock_shared(self, session: Session, table: str) -> None:
        """Take a lock that conflicts with the exclusive one only; row locks would be written."""
        self.fetch(session.connection(), _lock_shared(table), {})

    def cancel_running_statement(self, session: Session) -> None:
        """Cancel the statement that Celery's soft time limit left.

        psycopg cannot roll back then, and the error of that would hide the true one; the server
        would go on, and hold the locks of every row that the transaction touched. A claim skips
        locked rows, so the end of the statement is waited for.
        """
        if not session.in_transaction():
            return
        try:
            connection: Any = session.connection().connection.dbapi_connection
            status = connection and connection.info.transaction_status
            if status == TransactionStatus.ACTIVE:
                connection.cancel_safe(timeout=CANCEL_TIMEOUT)
                if not _has_ended(connection.pgconn, within=CANCEL_TIMEOUT):
                    session.invalidate()
        except (SQLAlchemyError, psycopg.Error):  # the connection is gone, its statement with it
            return


@cache
def _next_values(key: Column[int]) -> Select[int]:
    value = func.nextval(func.pg_get_serial_sequence(key.table.name, key.name))
    return select(value).select_from(func.generate_series(1, bindparam("count", type_=Integer)))


@cache
def _lock_shared(table: str) -> Any:
    return text(f"LOCK TABLE {table} IN ROW SHARE MODE")


def _has_ended(connection: PGconn, *, within: float) -> bool:
    """Wait for the end of the running statement, so many seconds at most."""
    until = monotonic() + within
    while True:
        while not connection.is_busy():
            if connection.get_result() is None:
                return True
        if not select_ready([connection.socket], [], [], max(0.0, until - monotonic()))[0]:
            return False
        connection.consume_input()


def _note_use(_: Any, record: Any) -> None:
    record.info["used_at"] = monotonic()


def _ping_if_idle(connection: Any, record: Any, _: Any) -> None:
    """Test a connection that was idle; to test each time would cost a round trip.

    The statement is a look at the server's clock, and is also sent when that is overdue.
    """
    was_idle = monotonic() - record.info.get("used_at", 0.0) > IDLE_LIMIT
    if not was_idle and clock.is_measured():
        return
    autocommit = connection.autocommit
    try:
        connection.autocommit = True  # without BEGIN and ROLLBACK, which are round trips
        clock.measure(lambda: connection.execute(_CLOCK).fetchone()[0])
        connection.autocommit = autocommit
    except psycopg.Error as error:
        if "used_at" not in record.info:  # a new one: SQLAlchemy would hide why it is of no use
            raise
        raise DisconnectionError from error
