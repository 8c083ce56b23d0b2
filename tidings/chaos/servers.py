"""Servers of one's own: each a process group on loopback that is killed, frozen and started again at will."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], *, within: float) -> bool:
    """Wait until `condition()` is true; false after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Process:
    """One server process with its files in `home`."""

    def __init__(
        self, command: Sequence[str], home: Path, env: Mapping[str, str] | None = None
    ) -> None:
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
                self.command,
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
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
