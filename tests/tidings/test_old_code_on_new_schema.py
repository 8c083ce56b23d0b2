"""Each migration leaves the code of the schema before it working: expand first, contract later."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from events import Database
from tests.tidings.schema_of_old_code import tables_of, use
from tests.tree import revisions
from tidings import migrations


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    sqlite = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    database = Database(
        sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    yield database
    database.close()


def dropped_by(script: ScriptDirectory, revision: str) -> tuple[str, ...]:
    """Return the tables and columns that a migration says to drop, which no code uses any more."""
    return tuple(getattr(script.get_revision(revision).module, "contracts", ()))


@pytest.mark.slow
def test_code_of_each_schema_works_on_the_next_and_of_the_first_on_the_latest(
    empty: Database,
) -> None:
    earlier: list[tuple[MetaData, set[str]]] = []  # of the bus alone first, then with the shop
    with empty.writer.begin() as connection:
        config = migrations._config(connection)
        script = ScriptDirectory.from_config(config)
        for number, revision in enumerate(revisions()):
            command.upgrade(config, revision)
            for _, unused in earlier:
                unused.update(dropped_by(script, revision))
            for tables, unused in earlier[-1:]:
                use(connection, tables, number, unused=unused)
            earlier.append((tables_of(connection), set()))
        tables, unused = earlier[1]
        use(connection, tables, len(earlier), unused=unused)


CONTRACTIONS = {
    "a table that is dropped": "DROP TABLE parcels",
    "a table that is renamed": "ALTER TABLE parcels RENAME TO packets",
    "a column that is dropped": "ALTER TABLE parcels DROP COLUMN note",
    "a column that is renamed": "ALTER TABLE parcels RENAME COLUMN note TO remark",
    "a column that old code does not fill": "ALTER TABLE parcels ADD COLUMN kind TEXT NOT NULL",
    "a shorter text": "ALTER TABLE parcels ALTER COLUMN label TYPE VARCHAR(10)",
    "another type": "ALTER TABLE parcels ALTER COLUMN id TYPE UUID USING gen_random_uuid()",
}
EXPANSIONS = {
    "a new column that may be empty": "ALTER TABLE parcels ADD COLUMN kind TEXT",
    "one with a default": "ALTER TABLE parcels ADD COLUMN kind TEXT NOT NULL DEFAULT 'box'",
    "a longer text": "ALTER TABLE parcels ALTER COLUMN label TYPE TEXT",
}


def test_the_check_finds_what_old_code_cannot_live_with_and_nothing_else(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.writer.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(
            text("CREATE TABLE parcels (id INT PRIMARY KEY, label VARCHAR(20), note TEXT)")
        )
        tables = tables_of(connection)

        assert {name: broken(connection, tables, each) for name, each in EXPANSIONS.items()} == (
            dict.fromkeys(EXPANSIONS, "")
        )
        refusal = "code of the schema before cannot use table parcels any more"
        found = {name: broken(connection, tables, each) for name, each in CONTRACTIONS.items()}
        assert found == dict.fromkeys(CONTRACTIONS, refusal)
        drop = CONTRACTIONS["a column that is dropped"]
        assert broken(connection, tables, drop, unused={"parcels.note"}) == ""
        assert broken(connection, tables, "DROP TABLE parcels", unused={"parcels"}) == ""
    database.close()


def broken(
    connection: Connection, tables: MetaData, statement: str, *, unused: Collection[str] = ()
) -> str:
    """Return the finding of the check after this statement, which is undone."""
    savepoint = connection.begin_nested()
    connection.execute(text(statement))
    try:
        use(connection, tables, 1, unused=unused)
    except AssertionError as error:
        return str(error).partition(":")[0]
    finally:
        savepoint.rollback()
    return ""
