"""The dialects: each operation that the two databases do in different ways, on both of them."""

import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from events import Database, reading, transaction
from events.dialects import DIALECTS, dialect_of
from events.dispatch import Result, dispatch
from tests.events.sample import (
    SECRET,
    Mark,
    Noted,
    failed_attempts,
    marks,
    new_subscription,
    note,
    send,
)
from tests.servers import HANG

SLOW_TO_END = """
DO $$
BEGIN
    PERFORM pg_sleep(60);
EXCEPTION WHEN query_canceled THEN  -- as on a busy server: its locks are held for some time yet
    PERFORM pg_sleep(0.5);
END $$
"""


class SoftTimeLimit(Exception):
    """An error raised from a signal, as Celery's soft time limit is."""


@contextmanager
def soft_time_limit() -> Iterator[None]:
    """Raise `SoftTimeLimit` in the block when the timer expires that the block sets."""

    def stop(*_: object) -> None:
        raise SoftTimeLimit

    before = signal.signal(signal.SIGALRM, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_dialect_of_a_session_is_that_of_its_database(any_database: Database) -> None:
    with transaction() as session:
        assert dialect_of(session) is any_database.dialect
    assert any_database.dialect is DIALECTS["sqlite" if any_database.sqlite else "postgresql"]


def test_notify_reaches_a_listener_of_postgresql_at_the_commit(postgres_database: Database) -> None:
    url = postgres_database.url.render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute("LISTEN sample")
        with transaction() as session:
            dialect_of(session).notify(session, "sample")
            assert list(listener.notifies(timeout=0.2)) == []
        received = list(listener.notifies(timeout=HANG, stop_after=1))

    assert [each.channel for each in received] == ["sample"]


def test_notify_on_sqlite_runs_no_statement(database: Database) -> None:
    with transaction() as session:
        session.connection()
        changes = session.scalar(text("SELECT total_changes()"))
        dialect_of(session).notify(session, "sample")
        assert session.scalar(text("SELECT total_changes()")) == changes


def test_a_locked_table_admits_readers_and_no_other_writer(any_database: Database) -> None:
    url = any_database.url.render_as_string(hide_password=False)
    other = Database(url, lock_timeout=0.2)
    with transaction() as session:
        dialect_of(session).lock_table(session, Mark.__tablename__)
        assert session.scalars(select(Mark)).all() == []  # SQLite begins with the first statement
        assert marks() == {}
        with pytest.raises(OperationalError), other.transaction() as blocked:
            blocked.add(Mark(what="blocked"))
    with other.transaction() as admitted:
        admitted.add(Mark(what="admitted"))
    other.close()

    assert marks() == {"admitted": 1}


def test_without_the_table_lock_postgresql_admits_a_second_writer(
    postgres_database: Database,
) -> None:
    with transaction() as first, transaction() as second:
        first.add(Mark(what="first"))
        first.flush()
        second.add(Mark(what="second"))

    assert marks() == {"first": 1, "second": 1}


def test_cancelling_without_a_running_statement_leaves_the_transaction_usable(
    any_database: Database,
) -> None:
    with transaction() as session:
        dialect_of(session).cancel_running_statement(session)
        session.add(Mark(what="a"))
        session.flush()
        dialect_of(session).cancel_running_statement(session)
        session.add(Mark(what="b"))

    assert marks() == {"a": 1, "b": 1}


def test_a_statement_left_by_an_error_is_cancelled_and_its_locks_are_released(
    postgres_database: Database,
) -> None:
    def hold_and_sleep() -> None:
        with transaction() as session:
            session.add(Mark(what="lost"))
            session.flush()
            dialect_of(session).lock_table(session, Mark.__tablename__)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            session.execute(text("SELECT pg_sleep(60)"))

    with soft_time_limit(), pytest.raises(SoftTimeLimit):
        hold_and_sleep()
    with transaction() as session:
        session.execute(text("SET LOCAL lock_timeout = '20s'"))
        session.add(Mark(what="next"))

    assert marks() == {"next": 1}


def test_a_statement_over_the_time_limit_fails_its_handler_and_is_cancelled_on_the_server(
    postgres_database: Database,
) -> None:
    def slow(event: Noted, session: Session) -> None:
        session.add(Mark(what=event.text))
        session.flush()
        if event.text == "slow":
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            session.execute(text(SLOW_TO_END))

    subscription = new_subscription(slow, batch=10)
    note("slow", "a", "b")
    [message] = send(subscription)
    with soft_time_limit():
        report = dispatch(subscription, message.event_ids, worker="w")

    assert (
        report.count(Result.HANDLED),
        report.count(Result.RETRYING),
        report.count(Result.DUPLICATE),
    ) == (2, 1, 0)
    assert [row.error_type for row in failed_attempts()] == ["SoftTimeLimit"]
    assert marks() == {"a": 1, "b": 1}
    asleep = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE query LIKE '%PERFORM pg_sleep%' AND pid <> pg_backend_pid() AND state = 'active'"
    )
    with reading() as session:
        assert session.scalar(text(asleep)) == 0


def deleted_text_is_in_the_file(database: Database, *, overwrite: bool) -> bool:
    """Write a secret, delete it, and tell whether the file still holds it."""
    with transaction() as session:
        session.add_all([Mark(what=SECRET), Mark(what="other")])
    with transaction() as session:
        session.execute(text("PRAGMA secure_delete=OFF"))  # some builds of SQLite switch it on
        if overwrite:
            dialect_of(session).overwrite_deleted_rows(session)
        session.execute(delete(Mark).where(Mark.what == SECRET))
    database.close()
    path = Path(database.url.database or "")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return SECRET.encode() in path.read_bytes()


@pytest.mark.parametrize("overwrite", [True, False])
def test_sqlite_overwrites_deleted_rows_when_asked(overwrite: bool, database: Database) -> None:
    assert deleted_text_is_in_the_file(database, overwrite=overwrite) is not overwrite


def test_overwriting_deleted_rows_changes_no_row(any_database: Database) -> None:
    with transaction() as session:
        session.add(Mark(what="a"))
    with transaction() as session:
        dialect_of(session).overwrite_deleted_rows(session)

    assert marks() == {"a": 1}


def test_insert_knows_on_conflict_do_nothing(any_database: Database) -> None:
    rows = [{"id": 1, "what": "first"}, {"id": 2, "what": "second"}]
    for values in (rows[:1], [{"id": 1, "what": "again"}, rows[1]]):
        with transaction() as session:
            session.execute(dialect_of(session).insert(Mark).on_conflict_do_nothing(), values)

    assert marks() == {"first": 1, "second": 1}


def test_insert_knows_on_conflict_do_update(any_database: Database) -> None:
    for what in ("first", "again"):
        with transaction() as session:
            insert = dialect_of(session).insert(Mark).values(id=1, what=what)
            session.execute(
                insert.on_conflict_do_update(
                    index_elements=[Mark.id], set_={"what": insert.excluded.what}
                )
            )

    assert marks() == {"again": 1}


def test_transactions_of_sqlite_take_turns_from_their_begin(database: Database) -> None:
    counted: list[int] = []

    def count() -> None:
        with transaction() as session:
            counted.append(session.scalar(select(func.count()).select_from(Mark)) or 0)

    with transaction() as session:
        session.connection()
        other = threading.Thread(target=count)
        other.start()
        other.join(0.2)
        waited = other.is_alive()
        session.add(Mark(what="a"))
    other.join(HANG)

    assert (waited, counted) == (True, [1])
