"""The contenders: each sends numbers, handles them in one process, and writes their effects."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from sqlalchemy import Engine, func, select

from benchmarks.effects import connect, effects, metadata
from benchmarks.servers import Servers

AT_MOST_ONCE, AT_LEAST_ONCE, EFFECT_ONCE = "at most once", "at least once", "effect once"
EVERY_BROKER = ("valkey", "rabbitmq")
BIN = Path(sys.executable).parent
_CELERY = ("-Q", "numbers", "--without-mingle", "--without-gossip", "-l", "CRITICAL")
CELERY = ("celery", "-A", "benchmarks.peers.on_celery", "worker", *_CELERY)
BUS = ("celery", "-A", "benchmarks.on_bus", "worker", *_CELERY)


class Stalled(Exception):
    """A run that did not end in time."""


@dataclass(frozen=True)
class Contender:
    """One way to run the work: the module that sends, the command of a worker, the environment.

    `helper` is a module that runs beside the worker. `rate` is a guess at its effects per second,
    from which the length of its first run follows.
    """

    name: str
    module: str
    worker: tuple[str, ...]
    guarantee: str = AT_LEAST_ONCE
    brokers: tuple[str, ...] = EVERY_BROKER
    env: dict[str, str] = field(default_factory=dict, hash=False)
    helper: str = ""
    rate: float = 400.0

    def with_inbox(self) -> "Contender":
        """Return the same with an inbox written by hand: it removes duplicates, not losses."""
        once = EFFECT_ONCE if self.guarantee == AT_LEAST_ONCE else self.guarantee
        env = self.env | {"INBOX": "1"}
        return replace(self, name=f"{self.name} + inbox", guarantee=once, env=env)


def _peer(name: str, module: str, worker: tuple[str, ...], **more: object) -> Contender:
    return Contender(name, f"benchmarks.peers.{module}", worker, **more)  # type: ignore[arg-type]


def _tidings(name: str, rate: float, **env: str) -> Contender:
    worker = (*BUS, "-c", "1")
    return Contender(
        name,
        "benchmarks.on_bus",
        worker,
        EFFECT_ONCE,
        env=env,
        helper="benchmarks.relay",
        rate=rate,
    )


TIDINGS = _tidings("Tidings, default batch", 250)
BASELINE = _peer("Celery, acks_late", "on_celery", (*CELERY, "-c", "1"))
_PEERS = (
    BASELINE,
    _peer(
        "Dramatiq",
        "on_dramatiq",
        ("dramatiq", "benchmarks.peers.on_dramatiq", "--processes", "1", "--threads", "1"),
        # As for its default of eight threads; for one it would fetch two, and sleep between.
        env={"dramatiq_queue_prefetch": "16"},
    ),
    _peer(
        "FastStream", "on_faststream", ("faststream", "run", "benchmarks.peers.on_faststream:app")
    ),
    _peer(
        "Taskiq",
        "on_taskiq",
        (
            *("taskiq", "worker", "benchmarks.peers.on_taskiq:broker", "--workers", "1"),
            *("--max-threadpool-threads", "1", "--log-level", "ERROR"),
        ),
    ),
    _peer(
        "Huey",
        "on_huey",
        ("huey_consumer", "benchmarks.peers.on_huey.huey", "--workers", "1", "--quiet"),
        guarantee=AT_MOST_ONCE,
        brokers=("valkey",),
    ),
    _peer(
        "RQ, SimpleWorker",
        "on_rq",
        (
            *("rq", "worker", "--worker-class", "rq.worker.SimpleWorker"),
            *("--logging_level", "ERROR", "numbers"),
        ),
        brokers=("valkey",),
    ),
)
CONTENDERS = (
    *(each for peer in _PEERS for each in (peer, peer.with_inbox())),
    _tidings("Tidings, batch=1", 250, BATCH="1"),
    TIDINGS,
    _tidings("Tidings, batch=50", 1500, BATCH="50"),
    _tidings("Tidings, batch=100", 1500, BATCH="100"),
    _tidings("Tidings, subscribe_batch", 4000, AS_LIST="1"),
)


class Run:
    """One contender on an empty database and an empty broker."""

    def __init__(self, contender: Contender, servers: Servers) -> None:
        self.contender = contender
        self.folder = servers.new_folder("run")
        self.env = servers.environment(self.folder, **contender.env)
        self._started: list[subprocess.Popen[bytes]] = []
        self.engine: Engine = connect(self.env["DATABASE_URL"])
        metadata.create_all(self.engine)

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process that ends with the run."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self.env | {"RQ_REDIS_URL": self.env["BROKER_URL"]},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def send(self, messages: int) -> None:
        """Put the numbers on their way, and start what must run beside a worker."""
        self.call(f"from {self.contender.module} import send; send({messages})")
        if self.contender.helper:
            self.start_helper()

    def call(self, code: str) -> None:
        """Run a line of Python in a process of its own and wait for its end. Raises `Stalled`."""
        if self.start([sys.executable, "-c", code]).wait():
            raise Stalled(f"{code} failed: {self._last_line()}")

    def start_helper(self) -> subprocess.Popen[bytes]:
        """Start what must run beside a worker."""
        return self.start([sys.executable, "-m", self.contender.helper])

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a worker."""
        program, *words = self.contender.worker
        if program == "celery":  # RabbitMQ refuses a second worker of the same name
            words += ["-n", f"worker{len(self._started)}@%h"]
        return self.start([str(BIN / program), *words])

    def processes(self) -> list[psutil.Process]:
        """Return the processes that run, with those below them."""
        own = [psutil.Process(each.pid) for each in self._started if each.poll() is None]
        return [each for one in own for each in (one, *one.children(recursive=True))]

    def done(self) -> int:
        """Return how many numbers have their effect."""
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count(effects.c.number.distinct()))) or 0

    def wait(self, messages: int, within: float) -> None:
        """Wait until all numbers have their effect. Raises `Stalled`."""
        if not until(lambda: self.done() >= messages, within=within):
            words = self._last_line()
            raise Stalled(f"{self.done()} of {messages} effects after {within:g} s: {words}")

    def _last_line(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "no output"

    def close(self) -> None:
        """End everything that was started."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.engine.dispose()


def until(condition: Callable[[], object], *, within: float, pause: float = 0.05) -> bool:
    """Wait until `condition()` is true; false after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
