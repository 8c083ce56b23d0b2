"""The one way to the database: `transaction()` to write, `reading()` to read."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from events import clock
from events.addresses import parse_database_url
from events.dialects import DIALECTS, IDLE_TIMEOUT, LOCK_TIMEOUT
from events.settings import settings

_IDLE_MARGIN = 10.0  # seconds that a transaction may wait longer than a handler may take


class Database:
    """One database with a way to write and a way to read.

    `lock_timeout` is the number of seconds that a writer waits for its turn or for a lock. An
    `urgent` process goes before the others. PostgreSQL ends a transaction that makes no statement
    for `idle_timeout` seconds. Raises `BadValue` and `UnsupportedDatabase`.
    """

    def __init__(
        self,
        url: str,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
        urgent: bool = False,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        self.url = parse_database_url(url)
        self.dialect = DIALECTS[self.url.get_backend_name()]
        self._engines = self.dialect.engines(
            self.url, lock_timeout, urgent=urgent, idle_timeout=idle_timeout
        )

    @property
    def writer(self) -> Engine:
        """The engine of the transactions."""
        return self._engines.writer.get()

    @property
    def reader(self) -> Engine:
        """The engine of the reads."""
        return self._engines.reader.get()

    @property
    def sqlite(self) -> bool:
        """Tell whether it is a file of SQLite."""
        return self.dialect.name == "sqlite"

    def transaction(self) -> AbstractContextManager[Session]:
        """Open a session that commits when the block ends, and rolls back when it fails."""
        return self._transaction(self.writer)

    def relaxed(self) -> AbstractContextManager[Session]:
        """Open a transaction whose commit does not wait for the disk: for marks, not promises."""
        return self._transaction(self._engines.relaxed.get())

    def marking(self) -> AbstractContextManager[Connection]:
        """Open such a transaction without a session, for statements that are prepared."""
        return self._engines.relaxed.get().begin()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            self._measure_clock(session)
            try:
                yield session
            except DBAPIError:  # the statement has come to its end
                raise
            except BaseException:
                self.dialect.cancel_running_statement(session)
                raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session to read with. It has no transaction, so nothing may be written by it."""
        with Session(self.reader, expire_on_commit=False, autoflush=False) as session:
            self._measure_clock(session)
            yield session

    def looking(self) -> AbstractContextManager[Connection]:
        """Open a connection to read with: a session would double the cost of a short look."""
        return self.reader.connect()

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Open a session whose reads all see one moment; writes through it are rolled back."""
        with Session(
            self._engines.snapshot.get(), expire_on_commit=False, autoflush=False
        ) as session:
            self._measure_clock(session)
            yield session

    def _measure_clock(self, session: Session) -> None:
        """Connect to PostgreSQL before a process asks for a time that it does not know.

        A session connects at its first statement, whose values may hold that time.
        """
        if not (self.sqlite or clock.is_known()):
            session.connection()

    def make_engines(self) -> None:
        """Make the engines that it may need, which connect later."""
        for each in (self._engines.writer, self._engines.relaxed, self._engines.reader):
            each.get()

    def close(self) -> None:
        """Close every connection."""
        self._engines.dispose()


_Key = tuple[str, float, bool]  # the arguments of a `Database`
_database: Database | None = None
_prepared: dict[_Key, Database] = {}
_urgent = False


def database() -> Database:
    """Return this process's database, from `DATABASE_URL` unless `use` set another."""
    if _database is None:
        use(own(urgent=_urgent))
    assert _database is not None
    return _database


def own(*, lock_timeout: float = LOCK_TIMEOUT, urgent: bool = False) -> Database:
    """Return a new database of `DATABASE_URL`, or the one that `prepare` made before a fork."""
    key = (settings().database_url, lock_timeout, urgent)
    # A handler that computes makes no statement, and its time limit has to be what ends it.
    idle_timeout = max(IDLE_TIMEOUT, settings().task_time_limit + _IDLE_MARGIN)
    return _prepared.pop(key, None) or Database(
        key[0], lock_timeout=key[1], urgent=key[2], idle_timeout=idle_timeout
    )


def prepare(*, lock_timeout: float = LOCK_TIMEOUT, urgent: bool = False) -> None:
    """Make a database, with its engines, for processes that are forked from now on.

    It connects to nothing. Each process that takes it removes it from what its own children get.
    """
    made = own(lock_timeout=lock_timeout, urgent=urgent)
    made.make_engines()
    _prepared[settings().database_url, lock_timeout, urgent] = made


def use(chosen: Database | None) -> None:
    """Make `chosen` this process's database; `None` resets it."""
    global _database
    _database = chosen


def go_first() -> None:
    """Let this process's writers go before those of others, where they queue."""
    global _urgent
    _urgent = True


def transaction() -> AbstractContextManager[Session]:
    """Open a session on this process's database that commits when the block ends."""
    return database().transaction()


def relaxed() -> AbstractContextManager[Session]:
    """Open a transaction for marks that are no promises: a power cut may undo its commit."""
    return database().relaxed()


def marking() -> AbstractContextManager[Connection]:
    """Open a transaction for marks as `relaxed` does, without a session, which costs memory."""
    return database().marking()


def reading() -> AbstractContextManager[Session]:
    """Open a session on this process's database to read with."""
    return database().reading()


def looking() -> AbstractContextManager[Connection]:
    """Open a connection to this process's database to read with, where a session costs too much."""
    return database().looking()


def snapshot() -> AbstractContextManager[Session]:
    """Open a session on this process's database whose reads all see one moment."""
    return database().snapshot()


def reset_after_fork() -> None:
    """Let each forked child open its own connections: two processes on one socket corrupt it."""
    os.register_at_fork(after_in_child=lambda: use(None))
