"""A database that cannot just now burns no attempt: the delivery is given back and tried again soon."""

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from events import Base, Database, transaction
from events.database import is_transient, use
from events.dispatch import PATIENCE_WITH_DATABASE, dispatch
from events.ledger import crash
from events.settings import settings
from events.tables import LogEntry
from events.testing import Bus
from tests.events.sample import Mark, Noted, delivery, hearing, marks, note, send, tries


@pytest.fixture
def impatient(database: Database) -> Database:
    """SQLite that waits 20 ms for a lock instead of half a minute."""
    database.close()
    for engine in (database.writer, database.reader):
        event.listen(
            engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=20")
        )
    return database


@contextmanager
def locked(database: Database) -> Iterator[sqlite3.Connection]:
    """Another process is writing."""
    other = sqlite3.connect(
        database.url.database or "", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


@pytest.fixture
def on_postgres(postgres_url: str) -> Iterator[Database]:
    """A PostgreSQL database in use by this process."""
    database = Database(postgres_url)
    Base.metadata.create_all(database.writer)
    use(database)
    yield database
    use(None)
    database.close()


def unharmed() -> bool:
    """Whether the delivery waits for a moment, with no try counted."""
    row = delivery()
    return (row.state, row.attempts, row.sent_at, row.lost_count, tries()) == (
        "retrying",
        0,
        None,
        0,
        [],
    )


def test_a_locked_sqlite_burns_no_attempt(impatient: Database) -> None:
    with Bus(subscriptions=[hearing()]) as bus:
        note("a")
        [message] = send(hearing())
        with locked(impatient) as other:
            event.listen(
                impatient.writer, "handle_error", lambda _: other.rollback()
            )  # the lock goes when it was in the way once
            report = dispatch(hearing(), message.event_ids, worker="w")

        assert str(report) == "retrying: database: OperationalError"
        assert unharmed()
        bus.advance(PATIENCE_WITH_DATABASE + 1)

    assert marks() == {"a": 1}


def test_a_sqlite_that_stays_locked_is_the_callers_to_know_and_the_delivery_stays_as_it_was(
    impatient: Database,
) -> None:
    note("a")
    [message] = send(hearing())
    with locked(impatient), pytest.raises(OperationalError, match="database is locked") as raised:
        dispatch(hearing(), message.event_ids, worker="w")

    assert is_transient(raised.value)
    assert (delivery().state, delivery().attempts, delivery().sent_at is not None) == (
        "pending",
        0,
        True,
    )


class Stopped(Exception):
    """As Celery's soft time limit is raised: from a signal."""


def test_to_be_stopped_while_somebody_else_writes_burns_no_attempt(database: Database) -> None:
    def stop(*_: object) -> None:
        raise Stopped

    note("a")
    [message] = send(hearing())
    before = signal.signal(signal.SIGALRM, stop)
    with locked(database) as other:
        threading.Timer(0.4, other.rollback).start()
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        report = dispatch(hearing(), message.event_ids, worker="w")
    signal.signal(signal.SIGALRM, before)

    assert str(report) == "retrying: database: TransactionNotStarted"
    assert unharmed()


def serialization(database: Database) -> Callable[[Noted, Session], None]:
    """A handler whose row somebody else changes after its transaction began."""
    first = [True]

    def handler(event: Noted, session: Session) -> None:
        if first and first.pop():
            with database.transaction() as other:
                other.execute(update(Mark).values(what="theirs"))
        session.execute(update(Mark).values(what="ours"))

    return handler


def deadlock(database: Database) -> Callable[[Noted, Session], None]:
    """A handler that takes two rows in the opposite order of somebody else."""
    first, holds = [True], threading.Event()

    def other() -> None:
        with database.transaction() as session:
            one, two = session.scalars(select(Mark.id).order_by(Mark.id))
            session.execute(text("SET LOCAL deadlock_timeout = '20s'"))
            session.execute(update(Mark).where(Mark.id == two).values(what="theirs"))
            holds.set()
            session.execute(update(Mark).where(Mark.id == one).values(what="theirs"))

    def handler(event: Noted, session: Session) -> None:
        one, two = session.scalars(select(Mark.id).order_by(Mark.id))
        session.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
        session.execute(update(Mark).where(Mark.id == one).values(what="ours"))
        if first and first.pop():
            threading.Thread(target=other).start()
            assert holds.wait(10)
        session.execute(update(Mark).where(Mark.id == two).values(what="ours"))

    return handler


def lost_connection(database: Database) -> Callable[[Noted, Session], None]:
    """A handler whose connection the server ends."""
    first = [True]

    def handler(event: Noted, session: Session) -> None:
        if first and first.pop():
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        session.execute(update(Mark).values(what="ours"))

    return handler


def lock_timeout(database: Database) -> Callable[[Noted, Session], None]:
    """A handler that waits too long for a lock."""
    first = [True]

    def handler(event: Noted, session: Session) -> None:
        if first and first.pop():
            with database.transaction() as other:
                other.execute(update(Mark).values(what="theirs"))
                session.execute(text("SET LOCAL lock_timeout = '20ms'"))
                session.execute(update(Mark).values(what="ours"))
        session.execute(update(Mark).values(what="ours"))

    return handler


@pytest.mark.parametrize("trouble", [serialization, deadlock, lost_connection, lock_timeout])
def test_trouble_between_transactions_of_postgresql_burns_no_attempt(
    trouble: Callable[[Database], Callable[[Noted, Session], None]], on_postgres: Database
) -> None:
    if trouble is serialization:
        with on_postgres.transaction() as session:
            session.execute(
                text(
                    f"ALTER DATABASE {on_postgres.url.database} SET default_transaction_isolation = 'repeatable read'"
                )
            )
        on_postgres.close()
    with transaction() as session:
        session.add_all([Mark(what="one"), Mark(what="two")])
    subscription = hearing(trouble(on_postgres))
    with Bus(subscriptions=[subscription], fail_fast=False) as bus:
        note("a")
        bus.drain()
        assert unharmed()
        assert (delivery().error or "").startswith("database: ")
        bus.advance(PATIENCE_WITH_DATABASE + 1)

    assert (delivery().state, delivery().attempts, marks()) == ("done", 0, {"ours": 2})


def test_what_the_database_refuses_for_good_is_a_failure(any_database: Database) -> None:
    def insert_twice(event: Noted, session: Session) -> None:
        session.add_all([Mark(id=1, what="a"), Mark(id=1, what="b")])

    def unknown_table(event: Noted, session: Session) -> None:
        session.execute(text("SELECT * FROM nowhere"))

    for name, handler in (("notes.one", insert_twice), ("notes.two", unknown_table)):
        with Bus(subscriptions=[hearing(handler, name=name)], fail_fast=False) as bus:
            note("a")
            bus.drain()
        assert delivery(name).attempts == 1


def test_a_suspect_that_is_given_back_again_and_again_is_no_crash_loop(
    any_database: Database,
) -> None:
    subscription = hearing()
    [id] = note("a")
    send(subscription)
    with transaction() as session:
        crash(session, subscription.name, [id], worker="w", why="its process died")
        session.execute(
            update(LogEntry).values(version=99)
        )  # so that its worker starts it, and gives it back unharmed
    with Bus(subscriptions=[subscription], fail_fast=False) as bus:
        for _ in range(settings().max_crashes + 3):
            bus.advance(60)
        assert (
            delivery().state,
            delivery().attempts,
            delivery().sends > settings().max_crashes,
        ) == ("retrying", 0, True)
        with transaction() as session:
            session.execute(update(LogEntry).values(version=1))
        bus.advance(60)

    assert (delivery().state, marks()) == ("done", {"a": 1})


def test_a_statement_that_runs_over_the_time_limit_is_the_handlers_failure_and_ends_on_the_server(
    on_postgres: Database,
) -> None:
    def slow(event: Noted, session: Session) -> None:
        session.add(Mark(what=event.text))
        session.flush()
        if event.text == "slow":
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            session.execute(text("SELECT pg_sleep(60)"))

    def stop(*_: object) -> None:
        raise Stopped

    subscription = hearing(slow, batch=10)
    note("slow", "a", "b")
    [message] = send(subscription)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        report = dispatch(subscription, message.event_ids, worker="w")
    finally:
        signal.signal(signal.SIGALRM, before)

    assert (report.handled, report.retrying, report.duplicate) == (2, 1, 0)
    assert [row.error_type for row in tries()] == ["Stopped"]
    assert marks() == {"a": 1, "b": 1}
    with on_postgres.reading() as session:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        assert session.scalar(text(asleep)) == 0


def test_who_waits_for_nobody_gives_up_a_lock_of_postgresql_too(on_postgres: Database) -> None:
    hasty = Database(on_postgres.url.render_as_string(hide_password=False), patience=0.2)
    with transaction() as session:
        session.add(Mark(what="one"))
    with transaction() as holder:
        holder.execute(update(Mark).values(what="theirs"))
        with pytest.raises(OperationalError) as raised, hasty.transaction() as session:
            session.execute(update(Mark).values(what="ours"))
    hasty.close()

    assert is_transient(raised.value)
