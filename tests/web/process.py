"""A process of `tidings web`, for tests of several workers or of another clock."""

import os
import shutil
import signal
import sys
from pathlib import Path

import httpx

from tests.forked import ForkedProcess
from tests.servers import HANG, Process, free_port, missing, wait_until
from tidings.http_client import open_client

ROOT = Path(__file__).parents[2]


class WebProcess(ForkedProcess):
    """A `tidings web`; `ahead` seconds before the time of the others."""

    def __init__(
        self, home: Path, database_url: str, *, workers: int = 1, ahead: int = 0, **settings: str
    ) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(home),
            "SECRET_KEY": "only for tests",
            "DATABASE_URL": database_url,
        }
        command = ["tidings", "web", f"--port={port}", f"--workers={workers}"]
        if ahead:
            if not shutil.which("faketime"):
                missing("faketime")
            command = ["faketime", "-f", f"+{ahead}s", sys.executable, "-m", *command]
        self.ahead = ahead
        (folder := home / "web").mkdir()
        super().__init__(command, folder, env | settings)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        wait_until(self._answers, what="an answer of the web")

    def launch(self) -> None:
        """Fork it; with another clock start it, because `faketime` is loaded before the program."""
        Process.launch(self) if self.ahead else super().launch()

    def terminate(self) -> None:
        """Ask the whole group: `faketime` runs the web as a child, and ends without it."""
        self._signal(signal.SIGCONT, signal.SIGTERM)

    def wait(self, within: float = 20.0) -> None:
        """Wait for its end, and delete what a `faketime` that was killed leaves in memory."""
        super().wait(within)
        if self.ahead:
            for name in (f"faketime_shm_{self.pid}", f"sem.faketime_sem_{self.pid}"):
                Path("/dev/shm", name).unlink(missing_ok=True)

    def _answers(self) -> bool:
        with open_client(self.address, timeout=HANG) as client:
            try:
                return client.get("/livez").is_success
            except httpx.HTTPError:
                return False
