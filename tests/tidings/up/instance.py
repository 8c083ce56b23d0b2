"""A running `tidings up` for tests: on free ports, with a data directory of its own."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tests import forked
from tests.servers import HANG, Process, free_port, wait_until
from tidings.http_client import open_client

TIDINGS = str(Path(sys.executable).parent / "tidings")
CLEARED = (
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
    "BROKER_URL",
    "SMTP_URL",
    "PUBLIC_URL",
    "OPS_AUTH",
    "SECRET_KEY",
    "MAIL_DIR",
    "LOG_FORMAT",
)
ORDER = {
    "customer": {"name": "Ada Example", "email": "ada@example.org"},
    "items": [{"sku": "MUG-BLUE", "quantity": 1}],
    "shipping_address": {
        "line1": "1 Test Street",
        "city": "Berlin",
        "postcode": "10115",
        "country": "DE",
    },
    "payment_token": "tok_ok",
}


class Instance(Process):
    """A process of `tidings up`, as a user runs it."""

    def __init__(self, home: Path, *options: str, **env: str) -> None:
        self.port, self.flower_port, self.data = free_port(), free_port(), home / "data"
        command = [
            TIDINGS,
            "up",
            "--port",
            str(self.port),
            "--flower-port",
            str(self.flower_port),
            "--data-dir",
            str(self.data),
            *options,
        ]
        super().__init__(
            command,
            home,
            {name: value for name, value in os.environ.items() if name not in CLEARED} | env,
        )

    @property
    def url(self) -> str:
        """The address of its shop."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, within: float = 60.0) -> None:
        """Start it and wait until it is ready."""
        self.home.joinpath("log").unlink(missing_ok=True)
        self.launch()
        wait_until(
            lambda: self.said("ready: ") or not self.running(), within=within, what="`ready:`"
        )
        assert self.running(), self.log()

    def said(self, text: str) -> bool:
        """Return true if it printed this."""
        return text in self.log()

    def processes(self) -> list[psutil.Process]:
        """Return the supervisor and all its descendants."""
        supervisor = psutil.Process(self.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def titled(self, name: str) -> list[psutil.Process]:
        """Return the children of the supervisor whose title contains `name`."""
        return [each for each in psutil.Process(self.pid).children() if name in title(each)]

    def ask(self, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        """Return the shop's answer. Raises `httpx.HTTPStatusError` if it is an error."""
        method = "GET" if body is None else "POST"
        with open_client(self.url, timeout=HANG) as client:
            response = client.request(method, path, json=body, headers=headers)
        found: dict[str, Any] = response.raise_for_status().json()
        return found

    def order(self, **changes: object) -> dict[str, Any]:
        """Place an order."""
        return self.ask("/api/v1/orders", ORDER | changes)

    def status(self, order: dict[str, Any]) -> str:
        """Return the status of an order."""
        return str(
            self.ask(f"/api/v1/orders/{order['id']}", Authorization=f"Bearer {order['token']}")[
                "status"
            ]
        )

    def end(self, number: signal.Signals, within: float = 30.0) -> int:
        """Send the supervisor a signal, wait for its end and return its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(within)

    def beside(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run another `tidings up`, which is expected to end by itself."""
        return forked.run("tidings", "up", *options, env=self.env, cwd=self.home)

    def login(self) -> str:
        """Return the ops login that it made and printed."""
        found = re.search(r"login (ops:\S+)", self.log())
        assert found is not None
        return found[1]


class ForkedInstance(Instance, forked.ForkedProcess):
    """An instance for tests of what it does when it runs, whose start is not what they test."""

    def __init__(self, home: Path, *options: str, **env: str) -> None:
        super().__init__(home, *options, **env)
        self.command[0] = "tidings"


def title(process: psutil.Process) -> str:
    """Return the title of a process, empty if it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie is one too
        return ""


def gone(processes: list[psutil.Process]) -> bool:
    """Return true if all of these have ended."""
    return not [
        each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE
    ]
