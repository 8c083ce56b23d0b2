"""A process that is forked from the supervisor, which has imported everything already.

Seven forked workers are ready in 2.4 s instead of 12 and need 277 MB instead of 747
(docs/decisions.md).
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn

from tidings.prctl import PR_SET_CHILD_SUBREAPER, end_with_parent, prctl
from tidings.priority import set_session_niceness
from tidings.up.program import Program

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class Process:
    """A running program in its own session, so that Ctrl-C reaches only the supervisor.

    Raises `OSError` if the system has no room for another process.
    """

    def __init__(self, program: Program, closes: Iterable[int] = ()) -> None:
        self.program = program
        self.started = time.monotonic()
        self._session_gives_way = program.niceness == 0
        self.output, out = os.pipe()
        os.set_blocking(self.output, False)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        # A signal must not reach the child while it still has the supervisor's handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _run_child(program, out, parent, [self.output, *closes])
        except OSError:
            os.close(self.output)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(out)

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def give_way(self) -> bool:
        """Let its session, too, give way to others; false to be called again a little later."""
        if not self._session_gives_way:
            niceness = os.nice(0) + self.program.niceness
            self._session_gives_way = set_session_niceness(self.pid, niceness)
        return self._session_gives_way

    def terminate(self) -> None:
        """Ask the process to end, also if it is stopped by SIGSTOP."""
        for number in (signal.SIGTERM, signal.SIGCONT):
            os.kill(self.pid, number)

    def end_group(self) -> None:
        """Kill the process and its children."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS raises the latter for zombies
            return


def _run_child(program: Program, out: int, parent: int, closes: Iterable[int]) -> NoReturn:
    """Run `program` and exit; never return into the supervisor's code."""
    status = 1
    try:
        _prepare(out, parent)
        for each in closes:
            os.close(each)
        os.nice(program.niceness)
        program.run()
        status = 0
    except SystemExit as error:
        status = _status(error)
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)  # sys.exit would run the supervisor's exit handlers


def _prepare(out: int, parent: int) -> None:
    os.setsid()
    end_with_parent(parent)
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _status(error: SystemExit) -> int:
    if isinstance(error.code, str):
        print(error.code, file=sys.stderr)
    return error.code if isinstance(error.code, int) else int(error.code is not None)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that none outlives `up` (Linux only)."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the number of the signal arrives through the wake-up pipe."""
