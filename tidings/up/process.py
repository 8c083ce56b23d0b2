"""One running process, forked from the supervisor, which has everything imported already.

Forked instead of started anew, seven workers are ready in 2.4 s instead of 12 and take 277 MB instead of 747 (docs/decisions.md).
"""

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn

from tidings.up.program import Program

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_M_ARENA_MAX = -8  # malloc.h
HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class Process:
    """A program at work in a session and process group of its own, so that Ctrl-C reaches the supervisor alone."""

    def __init__(self, program: Program, closes: Iterable[int] = ()) -> None:
        self.program = program
        self.started = time.monotonic()
        self.output, out = os.pipe()
        os.set_blocking(self.output, False)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        # No signal may reach the child before it has forgotten the supervisor's handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        self.pid = os.fork()
        if self.pid == 0:
            _be(program, out, parent, [self.output, *closes])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        os.close(out)

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def terminate(self) -> None:
        """Ask the process to end, even if somebody froze it."""
        for number in (signal.SIGTERM, signal.SIGCONT):
            os.kill(self.pid, number)

    def end_group(self) -> None:
        """End at once whatever is left of the process and its children."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            return


def _be(program: Program, out: int, parent: int, closes: Iterable[int]) -> NoReturn:
    """Become `program`; never return into the supervisor's code."""
    status = 1
    try:
        _settle_in(out, parent)
        for each in closes:
            os.close(each)
        program.run()
        status = 0
    except SystemExit as exit:
        status = _status(exit)
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)  # not sys.exit: what is registered to run at exit is the supervisor's


def _settle_in(out: int, parent: int) -> None:
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit("the supervisor is gone")
    signal.set_wakeup_fd(-1)
    for number in HEARD:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _status(exit: SystemExit) -> int:
    if isinstance(exit.code, str):
        print(exit.code, file=sys.stderr)
    return exit.code if isinstance(exit.code, int) else int(exit.code is not None)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def adopt_orphans() -> None:
    """Become the parent of what a dying child leaves behind, so that nothing outlives `up` (Linux only)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def save_memory() -> None:
    """Let each process have two malloc arenas instead of eight per core (glibc only)."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 2)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the signal's number comes through the wake-up pipe."""
