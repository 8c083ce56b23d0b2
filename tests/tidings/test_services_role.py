"""The role of the services on PostgreSQL: everything runs as it, and it changes no table."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, inspect, make_url, text
from sqlalchemy.exc import ProgrammingError

import events.database
from events import Database, reading, transaction
from events.testing import Bus
from tasks import erasure
from tasks.orders import Order
from tests import forked
from tests.tasks.builders import placed, stocked
from tests.tidings.cli.calls import WHY, told
from tidings.migrations.run import migrate
from tidings.migrations.services_role import NotPermitted

NAME = 'sho"p:%s ü; --'  # what a quotation would have to survive
PASSWORD = "pä:$s%20'w\"ord"


@pytest.fixture
def owner(postgres_url: str) -> Iterator[Database]:
    """An empty database, as its owner sees it."""
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture
def services(owner: Database) -> Iterator[URL]:
    """The address for a role that does not exist yet, and does not outlive the test."""
    yield owner.url.set(username=NAME, password=PASSWORD)
    quoted = owner.writer.dialect.identifier_preparer.quote_identifier(NAME)
    engine = create_engine(owner.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = :n"), {"n": NAME}):
            connection.exec_driver_sql(f"DROP OWNED BY {quoted}")
            connection.exec_driver_sql(f"DROP ROLE {quoted}")
    engine.dispose()


@pytest.fixture
def shop(owner: Database, services: URL) -> Iterator[Database]:
    """The migrated database as the services see it, for this process."""
    assert migrate(owner, services=services).role == NAME
    database = Database(services.render_as_string(hide_password=False))
    events.database.use(database)
    yield database
    events.database.use(None)
    database.close()


def test_orders_commands_and_what_follows_a_restore_run_as_the_services_role(shop: Database):
    with transaction() as session:
        stocked(session, MUG=1000)
    with Bus(fail_fast=False) as bus:
        shipped = placed(MUG=1)
        placed("tok_broken", MUG=1)
        bus.drain()
        with reading() as session:
            assert session.get_one(Order, shipped.key).status == "shipped"
        told("products", "change", "MUG", "--price", "15.00", "EUR", *WHY)
        told("prune", "--done-after", "1", *WHY)
        told("restore", "--by-hand", "--last-number", "ORD-2345", *WHY)
        assert placed(MUG=1).number > "ORD-2345"
        assert erasure.erase("ada@example.org", who="ada", why="test", force=True)["orders"] == 3


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE orders",
        "ALTER TABLE orders ADD COLUMN more text",
        "CREATE TABLE more (id int)",
        "TRUNCATE orders",
        "UPDATE alembic_version SET version_num = '0001'",
        "CREATE ROLE another",
    ],
)
def test_the_services_role_changes_no_table(shop: Database, statement: str):
    refused = pytest.raises(ProgrammingError, match=r"permission denied|must be owner")
    with refused, shop.writer.begin() as connection:
        connection.exec_driver_sql(statement)


def test_the_server_keeps_a_hash_of_the_password_and_a_second_run_keeps_both(
    owner: Database, services: URL, shop: Database
):
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname = :name"
    with owner.reader.connect() as connection:
        before = connection.scalar(text(stored), {"name": NAME})

    assert migrate(owner, services=services.set(password="another")).role is None

    with owner.reader.connect() as connection:
        assert connection.scalar(text(stored), {"name": NAME}) == before
    assert str(before).startswith("SCRAM-SHA-256$4096:")


@pytest.fixture
def plain_owner(postgres_url: str) -> Iterator[Database]:
    """The owner of an empty schema, who may make no roles."""
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as admin:
        admin.exec_driver_sql("CREATE ROLE plain_owner LOGIN PASSWORD 'x'")
        admin.exec_driver_sql("ALTER SCHEMA public OWNER TO plain_owner")
        database = Database(
            make_url(postgres_url)
            .set(username="plain_owner", password="x")
            .render_as_string(hide_password=False)
        )
        yield database
        database.close()
        admin.exec_driver_sql("ALTER SCHEMA public OWNER TO CURRENT_USER")
        admin.exec_driver_sql("DROP OWNED BY plain_owner")
        admin.exec_driver_sql("DROP ROLE plain_owner")
    engine.dispose()


def test_an_owner_that_may_not_make_roles_says_what_an_administrator_has_to_run(
    plain_owner: Database, services: URL
):
    with pytest.raises(NotPermitted, match=r"run CREATE ROLE .* LOGIN PASSWORD") as refused:
        migrate(plain_owner, services=services)

    assert PASSWORD not in str(refused.value)
    assert inspect(plain_owner.reader).get_table_names() == []


def test_an_owner_whose_tables_belong_to_another_role_is_told_so(
    owner: Database, plain_owner: Database, services: URL
):
    migrate(owner)
    with owner.writer.begin() as connection:
        for kind in ("TABLES", "SEQUENCES"):
            connection.exec_driver_sql(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO plain_owner")

    with pytest.raises(NotPermitted, match="REASSIGN OWNED BY"):
        migrate(plain_owner, services=services.set(username="pg_monitor"))


def test_a_database_url_without_a_user_is_refused(owner: Database):
    with pytest.raises(NotPermitted, match="DATABASE_URL names no user"):
        migrate(owner, services=make_url("postgresql:///shop"))

    assert inspect(owner.reader).get_table_names() == []


def test_the_command_connects_as_the_owner(owner: Database, services: URL, tmp_path: Path):
    urls = {
        "DATABASE_OWNER_URL": owner.url.render_as_string(hide_password=False),
        "DATABASE_URL": services.render_as_string(hide_password=False),
    }
    first, second, on_sqlite = (
        forked.run("tidings", "migrate", env=os.environ | given, cwd=tmp_path)
        for given in (urls, urls, urls | {"DATABASE_URL": "sqlite:///x.sqlite"})
    )

    assert (first.returncode, second.returncode, on_sqlite.returncode) == (0, 0, 2)
    assert "made the role" in first.stdout
    assert "made the role" not in second.stdout
    assert "SQLite, which has no roles; unset it" in on_sqlite.stderr
    assert PASSWORD not in first.stdout + first.stderr
