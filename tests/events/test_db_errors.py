"""Database errors: a transient one costs no attempt, the delivery is released and sent again."""

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import pytest
from sqlalchemy import Connection, event, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from events import Database, transaction
from events.db_errors import is_transient
from events.dispatch import dispatch
from events.failures import DATABASE_RETRY_DELAY
from events.testing import Bus
from tests.events.sample import (
    Mark,
    Noted,
    delivery,
    failed_attempts,
    marks,
    new_subscription,
    note,
    send,
)
from tests.servers import HANG, wait_until


class SoftTimeLimit(Exception):
    """An error raised from a signal, as Celery's soft time limit is."""


@pytest.fixture
def short_timeout(database: Database) -> Database:
    """SQLite that waits 20 ms for a lock instead of half a minute."""
    database.close()
    for engine in (database.writer, database.reader):
        event.listen(
            engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=20")
        )
    return database


@contextmanager
def held_write_lock(database: Database) -> Iterator[sqlite3.Connection]:
    """Hold the write lock of SQLite, as another process that writes."""
    other = sqlite3.connect(
        database.url.database or "", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def released() -> bool:
    """Tell whether the delivery was released, with no attempt counted."""
    row = delivery()
    return (row.state, row.attempts, row.sent_at, row.lost_count, failed_attempts()) == (
        "retrying",
        0,
        None,
        0,
        [],
    )


def test_a_locked_sqlite_costs_no_attempt(short_timeout: Database) -> None:
    with Bus(subscriptions=[new_subscription()]) as bus:
        note("a")
        [message] = send(new_subscription())
        with held_write_lock(short_timeout) as other:
            # The lock is released as soon as one statement has failed because of it.
            event.listen(short_timeout.writer, "handle_error", lambda _: other.rollback())
            report = dispatch(new_subscription(), message.event_ids, worker="w")

        assert str(report) == "retrying: database: OperationalError"
        assert released()
        bus.advance(DATABASE_RETRY_DELAY + 1)

    assert marks() == {"a": 1}


def test_a_sqlite_that_stays_locked_raises_and_leaves_the_delivery_in_flight(
    short_timeout: Database,
) -> None:
    note("a")
    [message] = send(new_subscription())
    with (
        held_write_lock(short_timeout),
        pytest.raises(OperationalError, match="database is locked") as raised,
    ):
        dispatch(new_subscription(), message.event_ids, worker="w")

    assert is_transient(raised.value)
    assert (delivery().state, delivery().attempts, delivery().sent_at is not None) == (
        "pending",
        0,
        True,
    )


def test_a_time_limit_during_the_wait_for_the_write_lock_costs_no_attempt(
    database: Database,
) -> None:
    def stop(*_: object) -> None:
        raise SoftTimeLimit

    note("a")
    [message] = send(new_subscription())
    before = signal.signal(signal.SIGALRM, stop)
    with held_write_lock(database) as other:
        threading.Timer(0.4, other.rollback).start()
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        report = dispatch(new_subscription(), message.event_ids, worker="w")
    signal.signal(signal.SIGALRM, before)

    assert str(report) == "retrying: database: TransactionNotStarted"
    assert released()


def isolate(connection: Connection) -> None:
    """Let a transaction see the database as it was at its first statement."""
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def serialization(database: Database) -> Callable[[Noted, Session], None]:
    """Return a handler whose row another transaction changes after its own began."""
    first = [True]

    def handler(event: Noted, session: Session) -> None:
        if first and first.pop():
            with database.transaction() as other:
                other.execute(update(Mark).values(what="other"))
        session.execute(update(Mark).values(what="ours"))

    return handler


def deadlock(database: Database) -> Callable[[Noted, Session], None]:
    """Return a handler that locks two rows in the opposite order of another transaction."""
    first, holds = [True], SimpleQueue[int]()

    def other() -> None:
        with database.transaction() as session:
            one, two = session.scalars(select(Mark.id).order_by(Mark.id))
            session.execute(text("SET LOCAL deadlock_timeout = '180s'"))
            session.execute(update(Mark).where(Mark.id == two).values(what="other"))
            holds.put(session.scalars(text("SELECT pg_backend_pid()")).one())
            session.execute(update(Mark).where(Mark.id == one).values(what="other"))

    def handler(event: Noted, session: Session) -> None:
        one, two = session.scalars(select(Mark.id).order_by(Mark.id))
        session.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
        session.execute(update(Mark).where(Mark.id == one).values(what="ours"))
        if first and first.pop():
            threading.Thread(target=other).start()
            process = holds.get(timeout=HANG)  # the server looks for a deadlock once, after 10 ms
            wait_until(lambda: _waits_for_lock(database, process), what="the other to wait")
        session.execute(update(Mark).where(Mark.id == two).values(what="ours"))

    return handler


def _waits_for_lock(database: Database, process: int) -> bool:
    asked = text("SELECT wait_event_type FROM pg_stat_activity WHERE pid = :process")
    with database.reading() as session:
        return session.scalar(asked, {"process": process}) == "Lock"


def lost_connection(database: Database) -> Callable[[Noted, Session], None]:
    """Return a handler whose connection the server ends."""
    first = [True]

    def handler(event: Noted, session: Session) -> None:
        if first and first.pop():
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        session.execute(update(Mark).values(what="ours"))

    return handler


def lock_timeout(database: Database) -> Callable[[Noted, Session], None]:
    """Return a handler that waits too long for a lock."""
    return waiting(database, "lock_timeout")


def statement_timeout(database: Database) -> Callable[[Noted, Session], None]:
    """Return a handler whose statement takes too long, because it waits for a lock."""
    return waiting(database, "statement_timeout")


def waiting(database: Database, setting: str) -> Callable[[Noted, Session], None]:
    """Return a handler whose first wait for a row is ended by this setting of the server."""
    first = [True]

    def handler(event: Noted, session: Session) -> None:
        if first and first.pop():
            with database.transaction() as other:
                other.execute(update(Mark).values(what="other"))
                session.execute(text(f"SET LOCAL {setting} = '20ms'"))
                session.execute(update(Mark).values(what="ours"))
        session.execute(update(Mark).values(what="ours"))

    return handler


@pytest.mark.parametrize(
    "failing", [serialization, deadlock, lost_connection, lock_timeout, statement_timeout]
)
def test_a_transient_error_of_postgresql_costs_no_attempt(
    failing: Callable[[Database], Callable[[Noted, Session], None]], postgres_database: Database
) -> None:
    if failing is serialization:
        event.listen(postgres_database.writer, "begin", isolate)
    with transaction() as session:
        session.add_all([Mark(what="one"), Mark(what="two")])
    subscription = new_subscription(failing(postgres_database))
    with Bus(subscriptions=[subscription], fail_fast=False) as bus:
        note("a")
        bus.drain()
        assert released()
        assert (delivery().error or "").startswith("database: ")
        bus.advance(DATABASE_RETRY_DELAY + 1)

    assert (delivery().state, delivery().attempts, marks()) == ("done", 0, {"ours": 2})


def test_a_permanent_database_error_is_a_failed_attempt(any_database: Database) -> None:
    def insert_twice(event: Noted, session: Session) -> None:
        session.add_all([Mark(id=1, what="a"), Mark(id=1, what="b")])

    def unknown_table(event: Noted, session: Session) -> None:
        session.execute(text("SELECT * FROM nowhere"))

    for name, handler in (("notes.one", insert_twice), ("notes.two", unknown_table)):
        with Bus(subscriptions=[new_subscription(handler, name=name)], fail_fast=False) as bus:
            note("a")
            bus.drain()
        assert delivery(name).attempts == 1


def slow_statement(event: Noted, session: Session) -> None:
    """Run a statement that takes longer than the server allows, and waits for nobody."""
    session.execute(text("SET LOCAL statement_timeout = '20ms'"))
    session.execute(text("SELECT pg_sleep(180)"))


def large_statement(event: Noted, session: Session) -> None:
    """Run a statement that needs larger temporary files than the server allows."""
    session.execute(text("SET LOCAL work_mem = '64kB'"))
    session.execute(text("SET LOCAL temp_file_limit = '64kB'"))
    session.execute(text("SELECT count(*) FROM generate_series(1, 100000)"))


@pytest.mark.parametrize("handler", [slow_statement, large_statement])
def test_a_statement_beyond_a_limit_of_the_server_is_a_failed_attempt(
    handler: Callable[[Noted, Session], None], postgres_database: Database
) -> None:
    with Bus(subscriptions=[new_subscription(handler)], fail_fast=False) as bus:
        note("a")
        bus.drain()

    assert delivery().attempts == 1
