"""A running `tidings up` for tests: on free ports, with a data directory of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tests.servers import Process, free_port, wait_until

TIDINGS = str(Path(sys.executable).parent / "tidings")
CLEARED = (
    "DATABASE_URL",
    "BROKER_URL",
    "SMTP_URL",
    "OPS_AUTH",
    "SECRET_KEY",
    "MAIL_DIR",
    "LOG_FORMAT",
)
WISH = {
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
    """`tidings up` as a user runs it."""

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
        """Where its shop is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, within: float = 60.0) -> None:
        """Start it and wait until it says that it is ready."""
        self.home.joinpath("log").unlink(missing_ok=True)
        self.launch()
        wait_until(
            lambda: self.said("ready: ") or not self.running(), within=within, what="`ready:`"
        )
        assert self.running(), self.log()

    def said(self, text: str) -> bool:
        """Whether it printed this."""
        return text in self.log()

    def processes(self) -> list[psutil.Process]:
        """Itself and everything below it."""
        supervisor = psutil.Process(self.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def titled(self, name: str) -> list[psutil.Process]:
        """The processes right under the supervisor whose title has `name` in it."""
        return [each for each in psutil.Process(self.pid).children() if name in title(each)]

    def ask(self, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        """What the shop answers."""
        request = urllib.request.Request(
            f"{self.url}{path}", headers={"Content-Type": "application/json", **headers}
        )
        with urllib.request.urlopen(
            request, None if body is None else json.dumps(body).encode(), timeout=15
        ) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def order(self, **changes: object) -> dict[str, Any]:
        """Place an order."""
        return self.ask("/api/v1/orders", WISH | changes)

    def status(self, order: dict[str, Any]) -> str:
        """How far an order is."""
        return str(
            self.ask(f"/api/v1/orders/{order['id']}", Authorization=f"Bearer {order['token']}")[
                "status"
            ]
        )

    def end(self, number: signal.Signals, within: float = 30.0) -> int:
        """Send the supervisor a signal and wait for its end; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(within)

    def beside(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Another `tidings up`, which is expected to end by itself."""
        return subprocess.run(
            [TIDINGS, "up", *options],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd=self.home,
        )

    def login(self) -> str:
        """The ops login it made and printed."""
        found = re.search(r"login (ops:\S+)", self.log())
        assert found is not None
        return found[1]


def title(process: psutil.Process) -> str:
    """A process's title; that of one that has just ended is empty."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie is one too
        return ""


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of these have ended."""
    return not [
        each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE
    ]
