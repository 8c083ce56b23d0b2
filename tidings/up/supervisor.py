"""The supervisor: starts processes, starts again those that die, and ends them in order. One thread, because it forks."""

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socket import socket

from tidings.up.output import Output
from tidings.up.process import HEARD, Process, ignore
from tidings.up.program import Program

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds until a process that died is started again
SETTLED = 30.0  # seconds of life after which earlier deaths are forgotten
_TICK = 0.1  # seconds between two looks at a condition or a deadline
_ECHO = 0.5  # seconds within which a second signal is the first one again, as when a process group and its parent both pass it on


def backoff(deaths: int) -> float:
    """Seconds to wait before a process that died so many times in a row is started again."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(deaths - 1, 10))


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    known = {each.value: each.name for each in signal.Signals}
    return f"was killed by {known.get(-code, f'signal {-code}')}"


@dataclass
class Slot:
    """A program's place: its process, if it has one now, and how often it died."""

    program: Program
    keep: bool
    process: Process | None = None
    code: int | None = None
    deaths: int = 0
    due: float | None = None


class Supervisor:
    """Runs programs until it is told to stop by SIGINT, SIGTERM or SIGHUP. Told twice, it kills."""

    def __init__(self, output: Output, sockets: Iterable[socket] = ()) -> None:
        self._output = output
        self._sockets = tuple(sockets)
        self._slots: dict[str, Slot] = {}
        self._told: list[float] = []
        self._draining = False
        self._selector = selectors.DefaultSelector()
        self._signals, self._signalled = os.pipe()
        for end in (self._signals, self._signalled):
            os.set_blocking(end, False)
        self._selector.register(self._signals, selectors.EVENT_READ)
        for number in HEARD:
            signal.signal(number, ignore)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return bool(self._told)

    def start(self, program: Program) -> None:
        """Start a program, and start it again whenever it dies."""
        self._slots[program.name] = slot = Slot(program, keep=True)
        self._launch(slot)

    def finish(self, program: Program) -> int | None:
        """Run a program to its end while the others go on; its exit code, or `None` when told to stop meanwhile."""
        self._slots[program.name] = slot = Slot(program, keep=False)
        self._launch(slot)
        if self.until(lambda: slot.code is not None):
            del self._slots[program.name]
        return slot.code

    def until(self, condition: Callable[[], bool], *, within: float = float("inf")) -> bool:
        """Keep everything running until `condition()` holds; false when told to stop first, or after `within` seconds."""
        deadline = time.monotonic() + within
        while not condition():
            if self.stopping or time.monotonic() > deadline:
                return False
            self._turn(_TICK)
        return True

    def serve(self) -> None:
        """Keep everything running until told to stop."""
        while not self.stopping:
            self._turn(None)

    def drain(self) -> None:
        """End everything in order, each process by itself if it does so in time."""
        self._draining = True
        for stage in sorted({slot.program.stage for slot in self._slots.values()}):
            self._end(
                [
                    slot
                    for slot in self._slots.values()
                    if slot.program.stage == stage and slot.process
                ]
            )

    def close(self) -> None:
        """Hear no more signals. Nothing may run any more."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        os.close(self._signals)
        os.close(self._signalled)

    def _end(self, slots: list[Slot]) -> None:
        for slot in slots:
            if slot.process:
                slot.process.terminate()
        began = time.monotonic()
        while alive := [slot for slot in slots if slot.process]:
            for slot in alive:
                late = time.monotonic() - began > slot.program.grace
                if slot.process and (late or len(self._told) > 1):
                    self._output.say(
                        f"{slot.program.name} {'did not end in time' if late else 'is not waited for'}; killing it"
                    )
                    slot.process.end_group()
            self._turn(_TICK)

    def _launch(self, slot: Slot) -> None:
        self._output.expect(slot.program.name)
        others = [each.process.output for each in self._slots.values() if each.process]
        sockets = [each.fileno() for each in self._sockets if each not in slot.program.keeps]
        slot.due, slot.process = (
            None,
            Process(slot.program, closes=[self._signals, self._signalled, *others, *sockets]),
        )
        self._selector.register(slot.process.output, selectors.EVENT_READ, slot)

    def _turn(self, longest: float | None) -> None:
        """Wait for output, a signal, a death, or the time to start something again, and deal with it."""
        waits = [
            slot.due - time.monotonic() for slot in self._slots.values() if slot.due is not None
        ]
        waits += [] if longest is None else [longest]
        for key, _ in self._selector.select(max(0.0, min(waits)) if waits else None):
            if key.fd == self._signals:
                self._hear()
            elif isinstance(key.data, Slot):
                self._read(key.data)
        self._reap()
        for slot in self._slots.values():
            if slot.due is not None and slot.due <= time.monotonic() and not self._draining:
                self._launch(slot)

    def _hear(self) -> None:
        heard = set(os.read(self._signals, 4096)) - {signal.SIGCHLD}
        now = time.monotonic()
        if not heard or (self._told and now - self._told[-1] < _ECHO):
            return
        self._told.append(now)
        self._output.say(
            "finishing what is under way; once more to kill"
            if len(self._told) == 1
            else "killing everything"
        )

    def _read(self, slot: Slot) -> None:
        if slot.process is None:
            return
        try:
            while data := os.read(slot.process.output, 1 << 16):
                self._output.feed(slot.program.name, data)
        except BlockingIOError:
            return
        self._forget(
            slot.process.output
        )  # nobody can write there any more; its end comes as SIGCHLD

    def _forget(self, output: int) -> None:
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
        self._forget(process.output)
        os.close(process.output)
        self._output.end(slot.program.name)
        slot.process, slot.code = None, code
        if slot.keep and not self._draining:
            slot.deaths = 1 if process.age > SETTLED else slot.deaths + 1
            wait = backoff(slot.deaths)
            slot.due = time.monotonic() + wait
            self._output.say(
                f"{slot.program.name} {ending(code)} after {process.age:.0f} s; starting it again in {wait:g} s"
            )
