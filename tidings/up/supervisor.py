"""The supervisor: starts programs, restarts those that die, and stops them in order.

It has one thread only, because it forks.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from socket import socket

from tidings.up.output import Output
from tidings.up.process import SIGNALS, Process, ignore
from tidings.up.program import Program, Stage

RESTART_DELAY, MAX_RESTART_DELAY = 0.5, 10.0  # seconds
STABLE_AFTER = 30.0  # seconds of uptime after which the restart delay starts from the beginning
_POLL_INTERVAL = 0.1  # seconds between two checks of a condition or a deadline
# Seconds within which a second signal is taken for a copy of the first: a process group and its
# parent may both pass it on.
_SIGNAL_ECHO = 0.5


def restart_delay(deaths: int) -> float:
    """Return the seconds before the restart of a program that died `deaths` times in a row."""
    return min(MAX_RESTART_DELAY, RESTART_DELAY * 2.0 ** min(deaths - 1, 10))


def describe_exit(code: int) -> str:
    """Return a text for a process's exit code; a negative one is a signal."""
    if code >= 0:
        return f"ended with exit code {code}"
    known = {each.value: each.name for each in signal.Signals}
    return f"was killed by {known.get(-code, f'signal {-code}')}"


@dataclass
class Slot:
    """A program with its present process, its last exit code and its deaths in a row."""

    program: Program
    restart: bool
    process: Process | None = None
    code: int | None = None
    deaths: int = 0
    due: float | None = None


class Supervisor:
    """The parent of all programs until SIGINT, SIGTERM or SIGHUP; a second signal kills them."""

    def __init__(self, output: Output, sockets: Iterable[socket] = ()) -> None:
        self._output = output
        self._sockets = tuple(sockets)
        self._slots: dict[str, Slot] = {}
        self._stop_signals: list[float] = []
        self._draining = False
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_writer = os.pipe()
        for end in (self._wakeup, self._wakeup_writer):
            os.set_blocking(end, False)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._handle_signals)
        self._requests: list[socket] = []
        for number in SIGNALS:
            signal.signal(number, ignore)
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)

    @property
    def stopping(self) -> bool:
        """True after a signal to stop."""
        return bool(self._stop_signals)

    def start(self, program: Program) -> None:
        """Start a program, and restart it whenever it dies."""
        self._slots[program.name] = slot = Slot(program, restart=True)
        self._launch(slot)

    def finish(self, program: Program) -> int | None:
        """Run a program to its end beside the others.

        Returns its exit code, or `None` after a signal to stop.
        """
        self._slots[program.name] = slot = Slot(program, restart=False)
        self._launch(slot)
        if self.until(lambda: slot.code is not None):
            del self._slots[program.name]
        return slot.code

    def until(self, condition: Callable[[], bool], *, within: float = float("inf")) -> bool:
        """Supervise until `condition()` is true; false after a signal or `within` seconds."""
        deadline = time.monotonic() + within
        while not condition():
            if self.stopping or time.monotonic() > deadline:
                return False
            self._turn(_POLL_INTERVAL)
        return True

    def accept_from(self, listening: socket) -> None:
        """Accept connections on a socket, for `serve` to return."""
        accept = partial(self._accept, listening)
        self._selector.register(listening, selectors.EVENT_READ, accept)

    def serve(self) -> socket | None:
        """Supervise until a connection arrives, and return it; `None` after a signal to stop."""
        while not self.stopping and not self._requests:
            self._turn(None)
        return None if self.stopping else self._requests.pop(0)

    def drain(self) -> None:
        """Stop all programs, one stage after the other; kill those that exceed their grace."""
        self._draining = True
        for stage in sorted({slot.program.stage for slot in self._slots.values()}):
            self._stop(stage)

    def close(self) -> None:
        """Stop handling signals. No process may run."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        os.close(self._wakeup)
        os.close(self._wakeup_writer)

    def _stop(self, stage: Stage) -> None:
        slots = [slot for slot in self._slots.values() if slot.program.stage == stage]
        for slot in slots:
            if slot.process:
                slot.process.terminate()
        began = time.monotonic()
        while alive := [slot for slot in slots if slot.process]:
            for slot in alive:
                late = time.monotonic() - began > slot.program.grace
                if slot.process and (late or len(self._stop_signals) > 1):
                    reason = "did not end in time" if late else "has not ended yet"
                    self._output.log(f"{slot.program.name} {reason}; killing it")
                    slot.process.end_group()
            self._turn(_POLL_INTERVAL)

    def _launch(self, slot: Slot) -> None:
        self._output.reserve(slot.program.name)
        outputs = [each.process.output for each in self._slots.values() if each.process]
        sockets = [each.fileno() for each in self._sockets if each not in slot.program.sockets]
        closes = [self._wakeup, self._wakeup_writer, *outputs, *sockets]
        slot.due = None
        try:
            slot.process = Process(slot.program, closes)
        except OSError as error:  # a limit of processes, memory; what runs goes on
            slot.code = 1
            self._tell_death(slot, f"could not be started: {error.strerror}")
            return
        self._selector.register(
            slot.process.output, selectors.EVENT_READ, partial(self._read, slot)
        )

    def _turn(self, timeout: float | None) -> None:
        """Wait for output, a signal, a death or a due restart, and handle it."""
        now = time.monotonic()
        waits = [slot.due - now for slot in self._slots.values() if slot.due is not None]
        waits += [] if timeout is None else [timeout]
        waits += [] if self._sessions_give_way() else [_POLL_INTERVAL]
        for key, _ in self._selector.select(max(0.0, min(waits)) if waits else None):
            key.data()
        self._reap()
        for slot in self._slots.values():
            if slot.due is not None and slot.due <= time.monotonic() and not self._draining:
                self._launch(slot)

    def _sessions_give_way(self) -> bool:
        return all(slot.process.give_way() for slot in self._slots.values() if slot.process)

    def _handle_signals(self) -> None:
        received = set(os.read(self._wakeup, 4096)) - {signal.SIGCHLD}
        now = time.monotonic()
        if not received or (self._stop_signals and now - self._stop_signals[-1] < _SIGNAL_ECHO):
            return
        self._stop_signals.append(now)
        self._output.log(
            "stopping when running tasks are finished; a second signal kills everything"
            if len(self._stop_signals) == 1
            else "killing everything"
        )

    def _accept(self, listening: socket) -> None:
        self._requests.append(listening.accept()[0])

    def _read(self, slot: Slot) -> None:
        if slot.process is None:
            return
        try:
            while data := os.read(slot.process.output, 1 << 16):
                self._output.feed(slot.program.name, data)
        except BlockingIOError:
            return
        self._unregister(slot.process.output)  # closed; the death itself arrives as SIGCHLD

    def _unregister(self, output: int) -> None:
        if output in self._selector.get_map():
            self._selector.unregister(output)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for slot in self._slots.values():
                if slot.process and slot.process.pid == pid:
                    self._ended(slot, slot.process, os.waitstatus_to_exitcode(status))

    def _ended(self, slot: Slot, process: Process, code: int) -> None:
        process.end_group()
        self._read(slot)
        self._unregister(process.output)
        os.close(process.output)
        self._output.end(slot.program.name)
        slot.process, slot.code = None, code
        if slot.restart and not self._draining:
            slot.deaths = 0 if process.age > STABLE_AFTER else slot.deaths
            self._tell_death(slot, f"{describe_exit(code)} after {process.age:.0f} s")

    def _tell_death(self, slot: Slot, how: str) -> None:
        """Log it, and let the program be restarted if it is one that is."""
        if slot.restart:
            slot.deaths += 1
            delay = restart_delay(slot.deaths)
            slot.due = time.monotonic() + delay
            how += f"; restarting it in {delay:g} s"
        self._output.log(f"{slot.program.name} {how}")
