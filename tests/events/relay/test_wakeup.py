"""Wakeups: a commit ends the wait of the relay, and nothing else but the timeout does."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from events import Database, transaction
from events.log import wake
from events.relay.listener import Listener
from events.relay.wakeup import Wakeup, wakeup
from tests.events.sample import note
from tests.servers import wait_until

LONG = 20.0  # seconds; no test reaches this timeout


SOON = 10.0  # seconds; some milliseconds on an idle machine

LISTENERS = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"


@pytest.fixture
def waiting(any_database: Database) -> Iterator[Wakeup]:
    """A wakeup that has seen every commit so far."""
    found = wakeup(any_database)
    for _ in range(2):
        found.wait(0.3, threading.Event())
    yield found
    found.close()


def took(waiting: Wakeup, timeout: float, stop: threading.Event | None = None) -> float:
    """Return the seconds that a wait took."""
    began = time.monotonic()
    waiting.wait(timeout, stop or threading.Event())
    return time.monotonic() - began


def later(action: object) -> threading.Thread:
    """Run the action from another thread in a moment."""
    timer = threading.Timer(0.1, action)  # type: ignore[arg-type]
    timer.start()
    return timer


def test_publishing_ends_the_wait_at_once(waiting: Wakeup, any_database: Database) -> None:
    timer = later(lambda: note("a"))

    assert 0.05 < took(waiting, LONG) < SOON
    timer.join()


def test_the_wait_ends_within_fifty_milliseconds_of_the_commit(
    waiting: Wakeup, any_database: Database
) -> None:
    latencies = []
    for _ in range(7):
        committed: list[float] = []

        def publish_and_record_the_time(committed: list[float] = committed) -> None:
            note("a")
            committed.append(time.monotonic())

        timer = later(publish_and_record_the_time)
        waiting.wait(LONG, threading.Event())
        woken = time.monotonic()
        timer.join()
        latencies.append(woken - committed[0])

    assert min(latencies) < 0.05  # the others may have waited for a processor


def test_a_commit_between_two_waits_ends_the_second_one(
    waiting: Wakeup, any_database: Database
) -> None:
    note("a")

    assert took(waiting, LONG) < SOON


def test_a_commit_before_the_first_wait_ends_it(any_database: Database) -> None:
    # The relay looks for events, then starts to listen: an event published in between must not
    # wait for the next look.
    fresh = wakeup(any_database)
    try:
        assert took(fresh, LONG) < SOON
    finally:
        fresh.close()


def test_without_a_commit_the_wait_lasts_its_whole_timeout(
    waiting: Wakeup, any_database: Database
) -> None:
    assert 0.19 < took(waiting, 0.2) < SOON


def test_a_rollback_does_not_end_the_wait(waiting: Wakeup, any_database: Database) -> None:
    with any_database.writer.connect() as connection:
        connection.execute(text("INSERT INTO sample_marks (what) VALUES ('x')"))
        if not any_database.sqlite:
            connection.execute(text("NOTIFY tidings"))
        connection.rollback()

    assert took(waiting, 0.2) > 0.19


def test_a_stop_ends_the_wait(waiting: Wakeup, any_database: Database) -> None:
    stop = threading.Event()
    timer = later(stop.set)

    assert took(waiting, LONG, stop) < SOON
    timer.join()


def test_a_timeout_of_zero_returns_at_once(waiting: Wakeup, any_database: Database) -> None:
    assert took(waiting, 0.0) < SOON


def test_a_lost_connection_is_opened_again(postgres_url: str) -> None:
    database = Database(postgres_url)
    waiting = Listener(database)
    never = threading.Event()
    try:
        waiting.wait(0.1, never)
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f"SELECT pg_terminate_backend(pid) {LISTENERS}")
            wait_until(
                lambda: took(waiting, 0.05) >= 0 and _listeners(admin) == 1, what="a new listener"
            )
        waiting.wait(0.0, never)
        timer = later(lambda: _wake(database))
        assert took(waiting, LONG) < SOON
        timer.join()
    finally:
        waiting.close()
        database.close()


def _listeners(admin: psycopg.Connection) -> int:
    [row] = admin.execute(f"SELECT count(*) {LISTENERS}").fetchall()
    return int(row[0])


def _wake(database: Database) -> None:
    with database.transaction() as session:
        wake(session)


def test_a_listener_is_not_ended_for_being_idle(postgres_url: str) -> None:
    name, never = make_url(postgres_url).database, threading.Event()
    url = make_url(postgres_url).update_query_dict({"options": "-cidle_session_timeout=0"})
    database = Database(url.render_as_string(hide_password=False))  # its pool has idle sessions
    waiting = Listener(database)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} SET idle_session_timeout TO '300ms'".encode())
        try:
            wait_until(lambda: took(waiting, 0.05) and waiting._hears, what="it to hear")
            waiting.wait(1.0, never)

            assert (waiting.trouble, _listeners(admin)) == (None, 1)
        finally:
            waiting.close()
            database.close()


def test_an_unreachable_database_costs_the_timeout_and_raises_nothing() -> None:
    waiting = Listener(Database("postgresql://nobody@127.0.0.1:1/nothing"))

    assert 0.09 < took(waiting, 0.1) < SOON
    waiting.close()


def test_wake_raises_nothing_on_sqlite(database: Database) -> None:
    with transaction() as session:
        wake(session)


def test_an_unreadable_database_file_raises_nothing(database: Database) -> None:
    waiting = wakeup(database)
    for _ in range(2):
        waiting.wait(0.1, threading.Event())
    Path(database.url.database or "").write_bytes(b"not a database file " * 1000)

    waiting.wait(0.1, threading.Event())
    waiting.close()
