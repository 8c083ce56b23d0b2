"""A rolling upgrade under load: migrate, then replace the processes; orders go on all the time."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from events import Database, heartbeat, reading
from events.database import use
from tests.servers import HANG, Process, wait_until
from tests.system.next_version import REVISION, write_next_version
from tests.tasks.builders import placed
from tests.tasks.conftest import mail_server, queues, running_mail_server
from tests.tasks.mailserver import MailServer
from tests.tree import ROOT
from tidings.migrations.run import migrate

__all__ = ["mail_server", "running_mail_server"]  # fixtures

pytestmark = [pytest.mark.system, pytest.mark.slow]

WORKER = ("-m", "celery", "-A", "tasks", "worker", "-P", "threads", "-c", "2")
QUIET = ("--without-mingle", "--without-gossip")


class Deployment:
    """Processes of two versions on one database and one broker; the web is this process."""

    def __init__(self, database: Database, broker: str, home: Path) -> None:
        self.home, self.old, self.new = home, ROOT, home / "new"
        self.new.mkdir()
        write_next_version(self.new)
        self.env = os.environ | {
            "DATABASE_URL": database.url.render_as_string(hide_password=False),
            "BROKER_URL": broker,
        }
        self.processes: dict[str, Process] = {}

    def start(self, code: Path, name: str, *words: str) -> Process:
        """Start a process of one version, and wait for its heartbeat."""
        home = self.home / name
        home.mkdir()
        env = self.env | {"PYTHONPATH": str(code)}
        process = self.processes[name] = Process([sys.executable, "-P", *words], home, env)
        process.launch()
        wait_until(lambda: _beats(process.pid), what=f"{name} to run; its log: {process.log()}")
        return process

    def start_all(self, code: Path, name: str) -> None:
        """Start a worker for all queues and a relay."""
        worker = (*WORKER, "-Q", ",".join(queues()), "-n", f"{name}@test", *QUIET)
        self.start(code, f"worker of {name}", *worker)
        self.start(code, f"relay of {name}", "-m", "tidings", "relay")

    def stop_all(self, name: str) -> None:
        """Ask the processes of a version to end, as a deployment does."""
        for process in (self.processes[f"worker of {name}"], self.processes[f"relay of {name}"]):
            assert process.running()
            process.stop()

    def migrate(self, code: Path) -> str:
        """Run `tidings migrate` of one version; return its output."""
        env = self.env | {"PYTHONPATH": str(code)}
        command = [sys.executable, "-P", "-m", "tidings", "migrate"]
        done = subprocess.run(
            command,
            cwd=self.home,
            env=env,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _beats(pid: int) -> bool:
    with reading() as session:
        return any(row.pid == pid for row in heartbeat.alive(session))


@pytest.fixture
def deployment(
    postgres_url: str, valkey_url: str, mail_server: MailServer, tmp_path: Path
) -> Iterator[Deployment]:
    database = Database(postgres_url)
    use(database)
    migrate(database)
    deployment = Deployment(database, valkey_url, tmp_path)
    yield deployment
    for process in deployment.processes.values():
        process.kill()
    use(None)
    database.close()


class Customers(threading.Thread):
    """Customers who place one order after the other, by a web of the old version."""

    def __init__(self) -> None:
        super().__init__()
        self.placed, self.shipped = 0, 0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.3):
            order = placed("tok_ok", **{"TEE-M": 1})
            self.placed += 1
            shipped = f"SELECT 1 FROM orders WHERE id = '{order.id}' AND status = 'shipped'"
            while not rows(shipped):
                if self._end.wait(0.1):
                    return
            self.shipped += 1

    def more(self) -> int:
        """Wait until two more orders are shipped, of which the last is placed from now on."""
        number = self.shipped + 2
        wait_until(lambda: self.shipped >= number, what=f"{number} orders to be shipped")
        return self.placed

    def leave(self) -> int:
        """Place no more; return the number of orders."""
        self._end.set()
        self.join(HANG)
        return self.placed


def rows(query: str) -> list[Any]:
    with reading() as session:
        return [tuple(row) for row in session.execute(text(query))]


def test_orders_go_on_while_schema_and_code_are_upgraded(deployment: Deployment) -> None:
    deployment.start_all(deployment.old, "old")
    customers = Customers()
    customers.start()
    try:
        customers.more()
        told = deployment.migrate(deployment.new)
        assert told.startswith(f"applied migration {REVISION}\n")
        before = customers.more()  # the old processes alone, on the new schema
        assert rows("SELECT count(*) FROM channel_notes") == [(0,)]
        deployment.start_all(deployment.new, "new")
        customers.more()  # both
        deployment.stop_all("old")
        assert customers.more() > before
    finally:
        orders = customers.leave()
    nothing_was_lost_or_doubled(orders)


def nothing_was_lost_or_doubled(orders: int) -> None:
    """See what the database says of the orders, and of the subscription of the next version."""
    to_do = (
        "SELECT 1 FROM events WHERE relayed_at IS NULL "
        "UNION SELECT 1 FROM deliveries WHERE state IN ('pending', 'retrying')"
    )
    wait_until(lambda: rows(to_do) == [], what="every delivery to be handled")
    assert rows("SELECT status, count(*) FROM orders GROUP BY status") == [("shipped", orders)]
    assert rows("SELECT count(*) FROM sandbox_charges") == [(orders,)]
    assert rows("SELECT count(*) FROM sandbox_parcels") == [(orders,)]
    of_orders = "SELECT subject, type FROM events WHERE type LIKE 'order.%'"
    assert rows(f"{of_orders} GROUP BY subject, type HAVING count(*) > 1") == []
    assert rows("SELECT subscription, error_type, message FROM attempts") == []
    assert rows("SELECT reason FROM invalid_messages") == []
    of_next = "FROM deliveries WHERE subscription = 'email.note_channel'"
    assert rows(f"SELECT DISTINCT state {of_next}") == [("done",)]
    assert rows("SELECT count(*) FROM channel_notes") == rows(f"SELECT count(*) {of_next}")
    assert rows("SELECT DISTINCT channel FROM channel_notes") == [("web",)]
