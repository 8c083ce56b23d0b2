"""`tidings alive`: the heartbeats of this host, for the probes of a container."""

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from events import Database, clock, heartbeat, transaction
from events.database import use
from events.tables import Heartbeat
from tidings.cli import main

HOST = socket.gethostname()


def alive(*options: str) -> Result:
    return CliRunner().invoke(main, ["alive", *options])


@pytest.mark.parametrize("name", [f"payment@{HOST}", f"relay@{HOST}:7"])
def test_a_process_of_this_host_with_a_heartbeat_is_alive(name: str, database: Database):
    heartbeat.beat(name, "worker", ["payment"])

    assert alive().exit_code == 0
    assert json.loads(alive("--json").output) == {"host": HOST, "alive": [name], "database": None}


@pytest.mark.parametrize("name", ["payment@elsewhere", f"payment@{HOST}2", f"payment@x{HOST}"])
def test_a_process_of_another_host_is_not_taken_for_one_of_this(name: str, database: Database):
    heartbeat.beat(name, "worker", ["payment"])

    assert alive().exit_code == 3
    assert json.loads(alive("--json").output)["alive"] == []


def test_a_heartbeat_that_stopped_is_none(database: Database):
    heartbeat.beat(f"payment@{HOST}", "worker", ["payment"])
    with transaction() as session:
        session.execute(update(Heartbeat).values(last_seen=clock.now() - timedelta(minutes=1)))

    assert alive().exit_code == 3


@pytest.fixture
def unreachable() -> Iterator[None]:
    database = Database("postgresql://nobody:secret@127.0.0.1:1/none")
    use(database)
    yield
    use(None)
    database.close()


@pytest.mark.usefixtures("unreachable")
def test_a_database_that_cannot_be_asked_restarts_nothing():
    answer = alive()

    assert answer.exit_code == 0
    assert "the database cannot be asked" in answer.output
    assert "secret" not in answer.output
    assert json.loads(alive("--json").output)["database"]


def test_a_database_that_is_not_migrated_yet_restarts_nothing(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    use(database)

    answer = alive()

    use(None)
    database.close()
    assert answer.exit_code == 0
    assert "the database cannot be asked" in answer.output
