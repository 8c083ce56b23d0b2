"""The instance that is broken: `tidings up` with a data directory of its own, on a database and a broker of its own."""

import importlib
import os
import re
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any, Protocol

import psutil

from events import TidingsError
from tidings.chaos.rabbitmq import RabbitMQ
from tidings.chaos.servers import Process, until
from tidings.chaos.valkey import Valkey
from tidings.up import broker
from tidings.up.data_dir import Home

READY = 120.0  # seconds until an order must go through
_DRAIN = 5.0  # seconds for an end in good order, which nobody needs here
_DEFAULTS = {
    "LEASE": "15",
    "TASK_SOFT_TIME_LIMIT": "10",
    "TASK_TIME_LIMIT": "12",
}  # a short run must see its losses mended
_NOT_OURS = (
    "DATABASE_URL",
    "BROKER_URL",
    "SMTP_URL",
    "OPS_AUTH",
    "MAIL_DIR",
    "OPERATOR_EMAIL",
    "RATE_LIMIT",
    "LOG_LEVEL",
    "LOG_FORMAT",
)
_ROLES = (
    ("web", re.compile(r"^gunicorn: master")),
    ("web worker", re.compile(r"^gunicorn: worker")),
    ("relay", re.compile(r"^tidings: tidings relay")),
    ("worker", re.compile(r"^(\[celeryd: \S+:MainProcess\]|tidings: celery .* worker )")),
    ("worker child", re.compile(r"^\[celeryd: \S+:ForkPoolWorker")),
    ("broker", re.compile(r"(valkey|redis)-server")),
)


class ChaosTrouble(TidingsError):
    """The run cannot begin."""


class Broker(Protocol):
    """What can be done to a broker through its front door."""

    def empty(self) -> None:
        """Throw away every message."""

    def put(self, queue: str, body: bytes, headers: dict[str, Any]) -> None:
        """Put a message of any shape on a queue."""


class Stack:
    """Everything that one run starts. `database` is sqlite, postgres or an address, `broker` valkey, rabbitmq or an address.

    What has an address is somebody else's: it is used and not broken.
    """

    def __init__(self, folder: Path, *, database: str, broker: str) -> None:
        self.folder, self._database, self._broker = folder, database, broker
        self.home = Home(folder / "data")
        self.database_url = ""
        self.postgres: Any = None  # a tasks.chaos.postgres.Postgres, whose module needs an extra
        self.rabbitmq: RabbitMQ | None = None
        self.broker: Broker | None = None
        self.up = Process(
            [sys.executable, "-c", "from tidings.cli import main; main()", "up", *self._options()],
            folder,
        )

    def _options(self) -> tuple[str, ...]:
        return ("--port", "0", "--flower-port", "0", "--data-dir", str(self.folder / "data"))

    def start(self) -> None:
        """Start it all and wait until an order would go through. Raises `ChaosTrouble`."""
        self.database_url = self._start_database()
        own = {"DATABASE_URL": self.database_url, "BROKER_URL": self._start_broker()}
        os.environ.update(
            {name: value for name, value in _DEFAULTS.items() if name not in os.environ}
        )
        theirs = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        # Valkey is `up`'s own broker, and that one is started only when BROKER_URL does not name another.
        self.up.env = theirs | {
            name: url
            for name, url in own.items()
            if (name, self._broker) != ("BROKER_URL", "valkey")
        }
        os.environ.update(own)  # for the transport that this process rings with
        self.up.launch()
        if (
            not until(lambda: "ready: " in self.up.log() or not self.up.running(), within=READY)
            or not self.up.running()
        ):
            raise ChaosTrouble(f"`tidings up` did not become ready:\n{self.up.log()[-3000:]}")

    def _start_database(self) -> str:
        if self._database == "postgres":
            self.folder.chmod(0o755)  # PostgreSQL gives up being root, and must enter
            self.postgres = _postgres(self.folder / "postgres")
            return str(self.postgres.url)
        return self.home.database_url if self._database == "sqlite" else self._database

    def _start_broker(self) -> str:
        if self._broker == "rabbitmq":
            home = self.folder / "rabbitmq"
            home.mkdir()
            self.rabbitmq = self.broker = RabbitMQ(home)
            self.rabbitmq.start()
            return self.rabbitmq.url()
        if self._broker == "valkey":
            self.broker = Valkey(self.home.broker_socket)
            return broker.url(self.home)
        return self._broker

    @property
    def url(self) -> str:
        """Where its shop is."""
        found = re.search(r"ready: (\S+)", self.up.log())
        assert found is not None
        return found[1]

    def processes(self) -> dict[str, list[psutil.Process]]:
        """The living processes below `up`, by what they do: none that this run did not start is among them."""
        found: defaultdict[str, list[psutil.Process]] = defaultdict(list)
        for process in self._below():
            try:
                title = " ".join(process.cmdline())
            except psutil.Error:
                continue
            for role, pattern in _ROLES:
                if pattern.search(title):
                    found[role].append(process)
                    break
        return found

    def _below(self) -> list[psutil.Process]:
        if not self.up.running():
            return []
        try:
            return psutil.Process(self.up.pid).children(recursive=True)
        except psutil.Error:
            return []

    def stop(self) -> None:
        """End everything that was started."""
        if self.up.exit_code is None and self.up.running():
            below = self._below()
            self.up.terminate()
            if not until(lambda: not self.up.running(), within=_DRAIN):
                self.up.terminate()  # told twice, it kills
            self.up.wait(10.0)
            for process in psutil.wait_procs(below, timeout=2.0)[1]:
                process.kill()
        if self.rabbitmq is not None:
            self.rabbitmq.kill()
            self.rabbitmq.epmd.kill()
        if self.postgres is not None:
            self.postgres.stop()


def _postgres(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "XDG_RUNTIME_DIR is not set"
        )  # it looks for a folder for its lock, and finds another
        try:
            module = importlib.import_module("tidings.chaos.postgres")
        except ImportError as error:
            raise ChaosTrouble(
                f"a PostgreSQL of its own comes with an extra: pip install 'tidings[chaos]' ({error})"
            ) from error
    return module.Postgres(folder)
