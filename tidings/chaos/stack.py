"""The instance under test: `tidings up` with its own data directory, database and broker."""

import os
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Protocol

import psutil

from tidings.chaos.postgres import Postgres
from tidings.chaos.rabbitmq import RabbitMQ
from tidings.chaos.servers import ChaosTrouble, Process, until
from tidings.chaos.valkey import Valkey
from tidings.up import broker
from tidings.up.data_dir import DataDir

STARTUP_TIMEOUT = 120.0  # seconds
_DRAIN_TIMEOUT = 5.0  # seconds; a clean end is not part of the run
# A short run must see its losses repaired.
_DEFAULTS = {"LEASE": "15", "TASK_SOFT_TIME_LIMIT": "10", "TASK_TIME_LIMIT": "12"}
_REMOVED_VARIABLES = (
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
    "BROKER_URL",
    "SMTP_URL",
    "OPS_AUTH",
    "MAIL_DIR",
    "OPERATOR_EMAIL",
    "ALERT_WEBHOOK_URL",
    "ALERT_WEBHOOK_URL_FILE",
    "RESERVATION_MINUTES",
    "RATE_LIMIT",
    "TRUSTED_PROXIES",
    "ALLOWED_HOSTS",
    "LOG_LEVEL",
    "LOG_FORMAT",
)
_ROLES = (
    ("web", re.compile(r"^tidings: tidings web")),
    ("relay", re.compile(r"^tidings: tidings relay")),
    ("worker", re.compile(r"^(\[celeryd: \S+:MainProcess\]|tidings: celery .* worker )")),
    ("worker child", re.compile(r"^\[celeryd: \S+:ForkPoolWorker")),
    ("broker", re.compile(r"(valkey|redis)-server")),
)


class Broker(Protocol):
    """A broker that can be emptied and given messages of any shape."""

    def empty(self) -> None:
        """Delete all messages."""

    def put(self, queue: str, body: bytes, headers: dict[str, Any]) -> None:
        """Put a message of any shape on a queue."""


class Stack:
    """The processes of one run.

    `database` is sqlite, postgres or a URL, `broker` is valkey, rabbitmq or a URL. A server given
    as a URL is used and not broken.
    """

    def __init__(self, folder: Path, *, database: str, broker: str) -> None:
        self.folder, self._database, self._broker = folder, database, broker
        self.data_dir = DataDir(folder / "data")
        self.database_url = ""
        self.postgres: Postgres | None = None
        self.rabbitmq: RabbitMQ | None = None
        self.broker: Broker | None = None
        options = ("--port=0", "--flower-port=0", f"--data-dir={folder / 'data'}")
        self.up = Process([sys.executable, "-m", "tidings", "up", *options], folder)

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises `ChaosTrouble`."""
        self.database_url = self._start_database()
        addresses = {"DATABASE_URL": self.database_url, "BROKER_URL": self._start_broker()}
        os.environ.update({name: os.environ.get(name, value) for name, value in _DEFAULTS.items()})
        inherited = {
            name: value for name, value in os.environ.items() if name not in _REMOVED_VARIABLES
        }
        os.environ.update(addresses)  # this process sends messages too
        if self._broker == "valkey":  # `up` starts its own Valkey only without BROKER_URL
            del addresses["BROKER_URL"]
        self.up.env = inherited | addresses
        self.up.launch()
        until(lambda: self._is_ready() or not self.up.running(), within=STARTUP_TIMEOUT)
        if not self._is_ready() or not self.up.running():
            raise ChaosTrouble(f"`tidings up` did not become ready:\n{self.up.log()[-3000:]}")
        if self.rabbitmq and not until(self.rabbitmq.has_stored_queues, within=STARTUP_TIMEOUT):
            raise ChaosTrouble(f"RabbitMQ did not store its queues in {STARTUP_TIMEOUT:g} s")

    def _is_ready(self) -> bool:
        return "ready: " in self.up.log()

    def _start_database(self) -> str:
        if self._database == "postgres":
            # PostgreSQL refuses to run as root; its own user must be able to enter the folder.
            self.folder.chmod(0o755)
            self.postgres = Postgres(self.folder / "postgres")
            return self.postgres.url
        return self.data_dir.database_url if self._database == "sqlite" else self._database

    def _start_broker(self) -> str:
        if self._broker == "rabbitmq":
            home = self.folder / "rabbitmq"
            home.mkdir()
            self.rabbitmq = self.broker = RabbitMQ(home)
            self.rabbitmq.start()
            return self.rabbitmq.url()
        if self._broker == "valkey":
            self.broker = Valkey(self.data_dir.broker_socket)
            return broker.url(self.data_dir)
        return self._broker

    @property
    def url(self) -> str:
        """The address of the shop."""
        found = re.search(r"ready: (\S+)", self.up.log())
        assert found is not None
        return found[1]

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the running descendants of `up`, by their role."""
        found: defaultdict[str, list[psutil.Process]] = defaultdict(list)
        for process in self._descendants():
            try:
                title = " ".join(process.cmdline())
            except psutil.Error:
                continue
            for role, pattern in _ROLES:
                if pattern.search(title):
                    found[role].append(process)
                    break
        return found

    def _descendants(self) -> list[psutil.Process]:
        if not self.up.running():
            return []
        try:
            return psutil.Process(self.up.pid).children(recursive=True)
        except psutil.Error:
            return []

    def stop(self) -> None:
        """End everything that was started."""
        if self.up.exit_code is None and self.up.running():
            descendants = self._descendants()
            self.up.terminate()
            if not until(lambda: not self.up.running(), within=_DRAIN_TIMEOUT):
                self.up.terminate()  # the second signal kills
            self.up.wait(10.0)
            for process in psutil.wait_procs(descendants, timeout=2.0)[1]:
                process.kill()
        if self.rabbitmq is not None:
            self.rabbitmq.kill()
            self.rabbitmq.epmd.kill()
        if self.postgres is not None:
            self.postgres.stop()
