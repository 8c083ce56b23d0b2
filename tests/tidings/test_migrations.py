"""The migrations create the tables of the code on both databases, and take turns."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    func,
    inspect,
    select,
    text,
)

from events import Base, Database, reading
from events.database import use
from events.tables import SubscriptionRow
from tasks import inventory
from tasks.products import SEED, Product
from tests.servers import HANG
from tests.tidings.cli.calls import call, told
from tests.tree import revisions
from tidings import migrations
from tidings.migrations.run import (
    BrokenReferences,
    Migrated,
    _exclusive_transaction,
    migrate,
)

migrations.load_tables()
OURS = ("tasks", "web", "events")
REVISIONS = revisions()


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database, in use by this process."""
    sqlite = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    database = Database(
        sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    use(database)
    yield database
    use(None)
    database.close()


def shop_tables() -> set[str]:
    """Return the tables of the code itself; other tests of this run may have added more."""
    return {
        mapper.local_table.name
        for mapper in Base.registry.mappers
        if mapper.class_.__module__.split(".")[0] in OURS
    }


def test_the_migrations_make_exactly_the_tables_that_the_code_has(empty: Database):
    with _exclusive_transaction(empty) as connection:
        migrations.upgrade(connection)
        found = migrations.differences(connection)

    # A table of another test is missing, rightly. Anything else needs: make migration m="..."
    assert [
        each
        for each in found
        if not (each[0] in ("add_table", "add_index") and _table(each[1]) not in shop_tables())
    ] == []


def _table(added: Table | object) -> str:
    return str(added.name if isinstance(added, Table) else added.table.name)  # type: ignore[attr-defined]


def test_migrate_leaves_a_shop_that_is_open(empty: Database):
    done = migrate(empty)

    assert done.applied == REVISIONS
    assert done.seeded
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Product)) == len(SEED)
        assert min(inventory.stock_levels(session).values()) > 0
        assert session.get(SubscriptionRow, "inventory.reserve_stock") is not None


def test_a_second_migrate_finds_nothing_to_do_and_leaves_the_products_alone(
    empty: Database,
):
    first = migrate(empty)
    with empty.transaction() as session:
        session.execute(text("DELETE FROM products WHERE sku <> 'MUG-BLUE'"))

    assert migrate(empty) == Migrated([], [], seeded=False, subscriptions=first.subscriptions)
    with reading() as session:
        assert session.scalars(select(Product.sku)).all() == ["MUG-BLUE"]


def test_two_migrates_at_once_take_turns(empty: Database):
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(migrate, empty, lock_timeout=HANG) for _ in range(2)]
        done = [each.result() for each in both]

    assert sorted(len(each.applied) for each in done) == [0, len(REVISIONS)]
    assert sorted(each.seeded for each in done) == [False, True]


def test_a_module_that_was_dropped_in_gets_its_table(empty: Database):
    table = Table(
        "table_of_this_test",
        Base.metadata,
        Column("email", String(200), primary_key=True),
        Column("points", Integer),
    )
    try:
        assert "table_of_this_test" in migrate(empty).created
        assert "table_of_this_test" not in migrate(empty).created
        assert "table_of_this_test" in inspect(empty.reader).get_table_names()
    finally:
        Base.metadata.remove(table)


def test_a_migration_that_fails_leaves_nothing_behind(empty: Database):
    def fail_halfway() -> None:
        with _exclusive_transaction(empty) as connection:
            migrations.upgrade(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()

    assert inspect(empty.reader).get_table_names() == []


def test_on_sqlite_a_migration_that_breaks_references_is_undone(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'references.sqlite'}")
    metadata = MetaData()
    Table("parents", metadata, Column("id", Integer, primary_key=True))
    Table(
        "children",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("parent", ForeignKey("parents.id")),
    )
    metadata.create_all(database.writer)

    refused = pytest.raises(BrokenReferences, match="children")
    with refused, _exclusive_transaction(database) as connection:
        connection.exec_driver_sql("INSERT INTO children (id, parent) VALUES (1, 7)")

    with database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM children")).scalar() == 0
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
    database.close()


def test_the_command_says_what_it_did(empty: Database):
    applied = "".join(f"applied migration {each}\n" for each in REVISIONS)

    assert told("migrate").startswith(applied)
    assert told("migrate").startswith("the database is up to date; ")


@pytest.mark.parametrize("statement", ["LOCK TABLE alembic_version", "LOCK TABLE subscriptions"])
def test_a_migration_behind_a_held_lock_gives_up_and_says_so(
    statement: str, postgres_url: str
) -> None:
    database = Database(postgres_url)
    use(database)
    migrate(database)
    with database.writer.begin() as connection:
        connection.execute(text(statement))
        result = call("migrate", "--lock-timeout", "0.5")
        connection.rollback()

    assert result.exit_code == 1
    assert "another transaction held a lock for longer than 0.5 s; nothing was changed" in (
        result.stderr
    )
    assert told("migrate").startswith("the database is up to date")
    use(None)
    database.close()


@pytest.mark.parametrize(
    "empty", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True
)
def test_a_new_process_knows_every_table_so_that_no_draft_drops_one(empty: Database) -> None:
    with empty.writer.begin() as connection:
        migrations.upgrade(connection)  # not `migrate`, which adds the tables of other tests
    program = (
        "from events import Base; from tidings import migrations; migrations.load_tables(); "
        "print(*Base.metadata.tables)"
    )

    known = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG, check=True
    ).stdout.split()

    assert set(inspect(empty.writer).get_table_names()) - {"alembic_version"} <= set(known)
