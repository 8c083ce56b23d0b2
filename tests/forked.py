"""Programs of Python that a server forks, which has imported what they need.

Take them where the start itself is not what is tested: tests/fork_server.py tells what a forked
program has in common with one that a command starts, and what it does not cost.
"""

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from events.dry_runs import process as dry_run_process
from tests.servers import HANG, Process

ROOT = Path(__file__).parents[1]
# Without any event or handler: what a worker imports decides what it subscribes to.
BUS = (
    "celery.__main__",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.events.state",
    "celery.worker.autoscale",
    "celery.worker.strategy",
    "kombu.transport.pyamqp",
    "kombu.transport.redis",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "events.relay.loop",
    "events.transport",
)
READ_AT_START = ("LANG", "LC_", "PYTHONCOERCECLOCALE", "PYTHONIOENCODING", "PYTHONUTF8")
SHOP = ("tidings.up.warmup", *BUS)
start_dry_run = dry_run_process.execute  # conftest.py puts `dry_run` into its place


class Child:
    """A forked program, with the methods of `subprocess.Popen` that the tests use."""

    def __init__(self, words: Sequence[str], answers: socket.socket) -> None:
        self.args, self._answers = words, answers
        self.returncode: int | None = None
        self._read = answers.makefile("r")
        self.pid = int(self._read.readline())

    def poll(self) -> int | None:
        """Return the exit code, or `None` while it is running."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises `subprocess.TimeoutExpired`."""
        if (code := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it and its group."""
        if self.poll() is None:
            os.killpg(self.pid, 9)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._answers], [], [], timeout)[0]:
            self.returncode = int(self._read.readline())
            self._read.close()
            self._answers.close()
        return self.returncode


@cache
def _server(modules: tuple[str, ...], locale: tuple[tuple[str, str], ...]) -> socket.socket:
    """Start a server for this run; it ends when this process does."""
    requests, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    words = [sys.executable, "-m", "tests.fork_server", str(theirs.fileno()), *modules]
    with theirs:
        server = subprocess.Popen(
            words,
            cwd=ROOT,
            env=os.environ | dict(locale),
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    atexit.register(server.wait)
    atexit.register(requests.close)
    return requests


def fork(
    modules: tuple[str, ...],
    words: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Path,
    streams: Sequence[int],
) -> Child:
    """Start `python -m` with these words; `streams` are its input, output and errors."""
    env = dict(os.environ if env is None else env)
    request = {"words": list(words), "env": env, "folder": str(cwd)}
    # The interpreter reads these when it starts, so each locale has a server of its own.
    locale = tuple((name, env[name]) for name in sorted(env) if name.startswith(READ_AT_START))
    ours, theirs = socket.socketpair()
    with theirs:
        message = json.dumps(request).encode()
        socket.send_fds(_server(modules, locale), [message], [theirs.fileno(), *streams])
    return Child(words, ours)


class ForkedProcess(Process):
    """A server process that is forked; its command is what follows `python -m`."""

    modules = SHOP

    def launch(self) -> None:
        """Start the process; its output goes to `home/log`."""
        with (self.home / "log").open("ab") as log, Path(os.devnull).open("rb") as null:
            out = log.fileno()
            self._process = fork(
                self.modules,
                self.command,
                env=self.env,
                cwd=self.home,
                streams=(null.fileno(), out, out),
            )


class BusProcess(ForkedProcess):
    """A process of an application of its own on the bus, which has nothing of the shop."""

    modules = BUS


def run(
    *words: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    stdin: str = "",
    within: float = HANG,
    modules: tuple[str, ...] = SHOP,
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m` with these words to its end, and return the exit code and the output."""
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        child = fork(modules, words, env=env, cwd=cwd, streams=[each.fileno() for each in files])
        try:
            code = child.wait(within)
        finally:
            child.kill()
            child.wait()  # closes its socket
        for each in files[1:]:
            each.seek(0)
        return subprocess.CompletedProcess(words, code, files[1].read(), files[2].read())


def dry_run(request: str, environment: Mapping[str, str]) -> tuple[str, int | None]:
    """Run handlers dry in a fork; `start_dry_run` is what `tests/events/test_dry_runs.py` tests."""
    done = run("events.dry_runs", env=environment, stdin=request)
    return done.stdout, done.returncode
