"""Private servers: process groups on loopback that can be killed, frozen and restarted."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from events import TidingsError


class ChaosTrouble(TidingsError):
    """The run cannot begin."""


def until(condition: Callable[[], object], *, within: float) -> bool:
    """Wait until `condition()` is true; false after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Process:
    """A server process with its files in `home`."""

    def __init__(
        self, command: Sequence[str], home: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.command, self.home, self.env = list(command), home, env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the process, which leads a process group."""
        assert self._process is not None, f"{self.command[0]} was never started"
        return self._process.pid

    def launch(self) -> None:
        """Start the process; its output goes to `home/log`."""
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def running(self) -> bool:
        """Return true if the process is running."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Return the output so far."""
        return (self.home / "log").read_text(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """The exit code; `None` while the process is running."""
        return self._process.poll() if self._process else None

    def stop(self, within: float = 20.0) -> None:
        """Ask the process to end, and kill it after `within` seconds."""
        self.terminate()
        self.wait(within)

    def terminate(self) -> None:
        """Ask the process, frozen or not, to end; it ends its children itself."""
        if self.running():
            self._signal(signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, within: float = 20.0) -> None:
        """Wait for the end of the process, and kill it after `within` seconds."""
        if self._process is not None:
            try:
                self._process.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill the process and its group at once, as a power cut would."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def freeze(self) -> None:
        """Stop the process with SIGSTOP: it keeps its connections and does not answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen process."""
        self._signal(signal.SIGCONT)

    def _signal(self, *numbers: signal.Signals) -> None:
        if self.running():
            for number in numbers:
                os.killpg(self.pid, number)
