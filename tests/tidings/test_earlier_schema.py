"""Databases of earlier development versions are refused, and nothing in them is changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, select, text

from events import Database
from events.database import use
from tests import forked
from tests.tidings.cli.calls import call
from tidings.doctor import database as database_part
from tidings.earlier_schema import EarlierSchema
from tidings.migrations.run import UnknownRevision, migrate
from tidings.up.earlier_database import refuse_earlier_database

Content = dict[str, list[tuple[object, ...]]]
EARLIER = (
    "ALTER TABLE invalid_messages RENAME TO former_name",
    "ALTER TABLE deliveries RENAME COLUMN lost_count TO former_name",
    "ALTER TABLE sandbox_charges RENAME COLUMN attempts TO former_name",
    "UPDATE alembic_version SET version_num = '0003'",
)


def make_earlier(database: Database, *statements: str) -> None:
    """Migrate a database, then give its tables former names."""
    migrate(database)
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def content(database: Database) -> Content:
    """Return all rows of all tables."""
    metadata = MetaData()
    with database.reader.connect() as connection:
        metadata.reflect(connection)
        return {
            table.name: [tuple(row) for row in connection.execute(select(table))]
            for table in metadata.sorted_tables
        }


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database, in use by this process."""
    sqlite = f"sqlite:///{tmp_path / 'var' / 'tidings.sqlite'}"
    database = Database(
        sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    use(database)
    yield database
    use(None)
    database.close()


@pytest.mark.parametrize("statements", [EARLIER, EARLIER[:1], EARLIER[1:2], EARLIER[2:3]])
def test_migrate_refuses_an_earlier_database_and_changes_nothing(
    database: Database, statements: tuple[str, ...]
):
    make_earlier(database, *statements)
    before = content(database)

    result = call("migrate")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: the database {database.url.render_as_string()} was ")
    assert "created by an earlier development version of Tidings" in result.stderr
    assert "nothing was changed. Name another database" in result.stderr
    assert content(database) == before


def test_migrate_refuses_a_database_of_a_newer_version(database: Database):
    make_earlier(database, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(UnknownRevision, match=r"9999.*nothing was changed"):
        migrate(database)


def test_the_doctor_finds_an_earlier_database(database: Database):
    make_earlier(database, *EARLIER)

    [found] = [each for each in database_part.check(database) if each.part == "migrations"]

    assert (found.level, "invalid_messages is missing" in found.message) == ("problem", True)


@pytest.mark.slow
def test_up_refuses_the_data_directory_of_an_earlier_version_and_writes_nothing(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'tidings.sqlite'}")
    make_earlier(database, *EARLIER)
    before = content(database)
    database.close()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    files = sorted(each.name for each in tmp_path.iterdir() if "-" not in each.name)

    words = ("--data-dir", str(tmp_path), "--port", "0", "--flower-port", "0")
    refused = forked.run("tidings", "up", *words, env=environment)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"Error: the database sqlite:///{tmp_path}/tidings.sqlite was")
    assert refused.stderr.count("\n") == 1
    assert content(database) == before
    database.close()
    assert sorted(each.name for each in tmp_path.iterdir() if "-" not in each.name) == files


def test_up_checks_the_database_of_the_environment(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_earlier(database, *EARLIER)
    url = database.url.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(EarlierSchema):
        refuse_earlier_database(tmp_path / "other")


def test_up_leaves_a_database_that_does_not_answer_to_the_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    refuse_earlier_database(tmp_path)
