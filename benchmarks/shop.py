"""A running `tidings up` seen from outside: its processes, its tables, its HTTP interface."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import psutil
from sqlalchemy import text

from benchmarks.contest import BIN, Stalled, until
from benchmarks.effects import connect
from benchmarks.queries import LEFT
from benchmarks.servers import Process, Servers
from tidings.http_client import open_client

_READY = 60.0  # seconds
_ENOUGH = 500  # pieces in stock, so that no order is cancelled
_ROLES = (
    ("supervisor", re.compile(r"tidings up ")),
    ("web", re.compile(r"tidings web")),
    ("relay", re.compile(r"tidings relay")),
    ("broker", re.compile(r"valkey-server|redis-server")),
    ("flower", re.compile(r"flower")),
    ("mail sink", re.compile(r"mail sink")),
    ("worker \\1", re.compile(r"celeryd: (\w+)@|worker -Q (\w+)")),
)


class Shop:
    """`tidings up` as a user starts it, on servers of its own unless the options name others."""

    def __init__(self, servers: Servers) -> None:
        folder = servers.new_folder("shop")
        self._data = folder / "data"
        env = servers.environment(folder)
        self.sqlite = servers.database == "sqlite"
        if self.sqlite:
            env["DATABASE_URL"] = f"sqlite:///{self._data}/tidings.sqlite"
        if servers.broker == "valkey":  # it brings its own, on a unix socket
            del env["BROKER_URL"]
        self._folder, self._env = folder, env
        ports = ("--port", "0", "--flower-port", "0")
        command = [str(BIN / "tidings"), "up", *ports, "--data-dir", str(self._data)]
        self._process = Process(command, folder, env)
        self.engine = connect(env["DATABASE_URL"])
        self.seconds_to_ready = 0.0

    def __enter__(self) -> "Shop":
        began = time.monotonic()
        self._process.launch()
        until(self._ready_or_gone, within=_READY)
        if "ready: " not in self._process.log() or not self._process.running():
            raise Stalled(f"`tidings up` is not ready:\n{self._process.log()[-2000:]}")
        self.seconds_to_ready = time.monotonic() - began
        return self

    def _ready_or_gone(self) -> bool:
        return "ready: " in self._process.log() or not self._process.running()

    def __exit__(self, *_: object) -> None:
        self.engine.dispose()
        self._process.stop(within=60.0)

    @property
    def url(self) -> str:
        """The address of the shop."""
        found = re.search(r"ready: (http://\S+)", self._process.log())
        assert found is not None
        return found[1]

    @property
    def database_file(self) -> str:
        """The file of an SQLite database."""
        return str(self._data / "tidings.sqlite")

    @property
    def login(self) -> str:
        """The login of the operators, as user:password."""
        return (self._data / "ops_auth").read_text().strip()

    def run(self, *words: str) -> None:
        """Run a command of `tidings` on the shop."""
        command = [str(BIN / "tidings"), *words]
        subprocess.run(
            command, cwd=self._folder, env=self._env, check=True, stdout=subprocess.DEVNULL
        )

    def count(self, query: str) -> int:
        """Return the number that a query finds."""
        with self.engine.connect() as connection:
            return int(connection.scalar(text(query)) or 0)

    def skus(self) -> str:
        """Return the products with plenty in stock, separated by commas."""
        with open_client(self.url, timeout=15) as client:
            products = client.get("/api/v1/products").raise_for_status().json()["products"]
        return ",".join(each["sku"] for each in products if each["available"] >= _ENOUGH)

    def settle(self, within: float = 60.0) -> None:
        """Wait until nothing is on its way. Raises `Stalled`."""
        if not until(lambda: not self.count(LEFT), within=within):
            raise Stalled(f"{self.count(LEFT)} deliveries are open after {within:g} s")

    def processes(self) -> list[psutil.Process]:
        """Return the supervisor and every process below it."""
        supervisor = psutil.Process(self._process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the CPU time of all processes so far, with that of children that have ended."""
        return cpu_seconds(self.processes())

    def scheduled_seconds(self) -> float:
        """Return the CPU time of all threads that run, to the nanosecond where Linux counts it.

        `cpu_seconds` counts hundredths of each process, too coarse for an idle one.
        """
        files = [
            file
            for each in self.processes()
            for file in Path(f"/proc/{each.pid}/task").glob("*/schedstat")
        ]
        if not files:
            return self.cpu_seconds()
        return sum(int(file.read_text().split()[0]) for file in files) / 1e9

    def memory(self) -> Counter[str]:
        """Return the proportional set size by role, in bytes."""
        found: Counter[str] = Counter()
        for each in self.processes():
            found[role(each)] += each.memory_full_info().pss
        return found


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the CPU time of processes so far, with that of their children that have ended."""
    return sum(sum(each.cpu_times()[:4]) for each in processes)


def role(process: psutil.Process) -> str:
    """Return the role of a process of `tidings up`; a worker's parent and children share one."""
    title = " ".join(process.cmdline())
    for name, pattern in _ROLES:
        if found := pattern.search(title):
            return name.replace("\\1", next((each for each in found.groups() if each), ""))
    return "other"
