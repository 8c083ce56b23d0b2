"""The doctor's checks of the database, each with a problem and without."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from events import Database, clock, transaction
from tests.disks import Disk, left_by_a_kill
from tests.tidings.doctor.examined import problems
from tests.tree import revisions
from tidings.doctor import database as database_part
from tidings.migrations.run import migrate


def test_a_database_that_is_up_to_date_is_well(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tidings.sqlite'}")
    migrate(database)

    assert {each.level for each in database_part.check(database)} == {"ok"}
    database.close()


def test_a_file_that_is_not_there_is_found_and_not_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tidings.sqlite'}")

    [found] = database_part.check(database)

    assert (found.level, "tidings migrate" in found.fix) == ("problem", True)
    assert list(tmp_path.iterdir()) == []


def test_migrations_that_were_not_applied_are_found(any_database: Database) -> None:
    [found] = [each for each in database_part.check(any_database) if each.part == "migrations"]

    assert (found.level, found.fix) == ("problem", "run `tidings migrate`")
    assert found.message.startswith(", ".join(revisions()))


def test_a_schema_that_is_newer_than_the_code_is_told(any_database: Database) -> None:
    with transaction() as session:
        session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        session.execute(text("INSERT INTO alembic_version VALUES ('9999')"))

    [found] = [each for each in database_part.check(any_database) if each.part == "migrations"]

    assert (found.level, found.message.startswith("the schema is newer than this code")) == (
        "notice",
        True,
    )


def test_sqlite_without_wal_and_full_synchronization_is_found(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'tidings.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE plain (id INTEGER)"))
        connection.execute(text("PRAGMA synchronous=NORMAL"))
        found = problems(list(database_part._sqlite(connection, tmp_path / "tidings.sqlite")))
    engine.dispose()

    assert [each.partition(":")[0] for each in found] == ["database", "durability"]


def test_a_disk_that_is_nearly_full_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_part, "MIN_DISK_SPACE", 1 << 62)

    assert "disk space" in [
        each.part for each in database_part.check(database) if each.level == "problem"
    ]


def test_a_sqlite_that_can_only_be_read_is_found(disk: Disk) -> None:
    database = Database(f"sqlite:///{disk.folder / 'tidings.sqlite'}")
    migrate(database)
    left = left_by_a_kill(database)
    disk.seal()
    found = [each for each in database_part.check(left) if each.part == "writing"]
    left.close()

    [wrong] = problems(found)
    assert wrong.startswith(
        "writing: no order can be saved: attempt to write a readonly database; "
        "it is read-only: make it writable"
    )


def test_a_postgres_that_is_a_standby_is_found(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    database = Database(postgres_url)
    found = [each for each in database_part.check(database) if each.part == "writing"]
    database.close()

    assert [(each.level, "all transactions are read-only" in each.message) for each in found] == [
        ("problem", True)
    ]


def test_a_postgres_that_does_not_answer_is_found_without_its_password() -> None:
    database = Database("postgresql://ada:sesame@127.0.0.1:1/tidings")

    [found] = database_part.check(database)
    database.close()

    assert (found.part, found.level) == ("database", "problem")
    assert "does not answer" in found.message
    assert "sesame" not in found.message


@pytest.fixture
def limited(postgres_url: str) -> Iterator[Database]:
    """A database whose role may open one connection."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE limited LOGIN CONNECTION LIMIT 1")
        database = Database(
            make_url(postgres_url).set(username="limited").render_as_string(hide_password=False)
        )
        yield database
        database.close()
        admin.execute("DROP ROLE limited")


def test_a_postgres_without_a_free_connection_is_found_with_its_mend(limited: Database) -> None:
    other = Database(limited.url.render_as_string(hide_password=False))
    with limited.reader.connect():
        [found] = database_part.check(other)
    other.close()

    assert (found.part, found.level) == ("database", "problem")
    assert "it has no connection left" in found.message
    assert found.fix.startswith("raise max_connections")


def test_what_the_address_leaves_to_libpq_is_told(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = make_url(postgres_url).database or ""
    monkeypatch.setenv("PGDATABASE", name)
    database = Database(postgres_url.replace(f"/{name}", "/", 1))

    [told] = [each for each in database_part.check(database) if each.part == "database"]
    database.close()

    assert f", which is {name} at " in told.message


def test_a_postgres_that_may_forget_is_found(postgres_url: str) -> None:
    database = Database(postgres_url)  # the tests' server runs without fsync

    found = problems(list(database_part.check(database)))
    database.close()

    assert "durability: fsync off: a power cut can lose accepted orders" in found


def test_a_clock_that_is_not_the_databases_is_found(postgres_url: str) -> None:
    database = Database(postgres_url)
    behind = clock.now() - timedelta(minutes=5)
    clock.follow(lambda: behind)
    try:
        found = problems(list(database_part.check(database)))
    finally:
        clock.follow(None)
        database.close()

    assert [each for each in found if each.startswith("clock: the clock of the database is 30")]
