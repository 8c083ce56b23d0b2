"""The process of dry runs: what hangs, crashes or calls the outside does so there.

A handler that takes longer than `LOCK_TIME` is ended by the kernel, whatever it does, and with it
the transaction that holds locks: on SQLite nobody else can write meanwhile.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from pydantic import BaseModel

from events import subscriptions
from events.database import database, use
from events.dry_runs.outside import install_hook
from events.dry_runs.result import DryRun
from events.dry_runs.run import RolledBackDatabase, dry_run
from events.errors import TidingsError

LOCK_TIME = 2.0  # seconds of one transaction
TIME_LIMIT = 15.0  # seconds of all: of their start, their imports, and their reads
MAX_AT_ONCE = 20  # deliveries
_one_at_a_time = threading.Lock()  # each takes the memory and the time of a worker that starts


class Request(BaseModel):
    """The deliveries to run, and the modules with their handlers."""

    ids: list[str]
    package: str
    skip: list[str]
    answer: str | None


def run(
    ids: Sequence[str], *, package: str, skip: Collection[str] = (), answer: str | None = None
) -> list[DryRun]:
    """Run the handlers of these deliveries in a process, and return what each would do.

    The handlers are those in the modules of `package`. Raises `ValueError` for too many deliveries.
    """
    if not 1 <= len(ids) <= MAX_AT_ONCE:
        raise ValueError(f"a dry run takes 1 to {MAX_AT_ONCE} deliveries, not {len(ids)}")
    request = Request(ids=list(ids), package=package, skip=list(skip), answer=answer)
    url = database().url.render_as_string(hide_password=False)
    with _one_at_a_time:
        done, reason = _run(request, os.environ | {"DATABASE_URL": url})
    found = [DryRun.model_validate_json(line) for line in done.split("\n")[:-1]]
    if len(found) < len(ids):
        found.append(DryRun(delivery_id=ids[len(found)], outcome="ended", error=reason))
    return found


def _run(request: Request, environment: dict[str, str]) -> tuple[str, str]:
    done, code = execute(request.model_dump_json(), environment)
    return done[: done.rfind("\n") + 1], _reason(code)


def execute(request: str, environment: dict[str, str]) -> tuple[str, int | None]:
    """Run the process; return its output and its exit code, `None` after `TIME_LIMIT`."""
    command = [sys.executable, "-m", "events.dry_runs"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",  # whatever the locales of this process and of that one are
        env=environment,
    ) as process:
        try:
            done, _ = process.communicate(request, timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            done, _ = process.communicate()
            return done, None
        except BaseException:
            process.kill()  # a caller that is interrupted leaves no handler running
            raise
    return done, process.returncode


def _reason(code: int | None) -> str:
    if code is None:
        return f"it took longer than {TIME_LIMIT:g} s and was ended; nothing was changed"
    if code == -signal.SIGALRM:
        return f"the handler took longer than {LOCK_TIME:g} s and was ended; nothing was changed"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}; nothing was changed"
    return f"its process ended with code {code} before it was done; nothing was changed"


def main() -> None:
    """Run the handlers that the request on the standard input names; print a line for each."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")  # handlers may print
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    request = Request.model_validate(json.load(sys.stdin.buffer))
    list(subscriptions.discover(request.package, skip=request.skip))
    use(RolledBackDatabase(os.environ["DATABASE_URL"]))
    install_hook()
    for each in request.ids:
        try:
            result = dry_run(each, answer=request.answer, guard=_time_limit)
        except TidingsError as error:
            result = DryRun(delivery_id=each, outcome="failed", error=str(error))
        print(result.model_dump_json(), file=out, flush=True)


@contextmanager
def _time_limit() -> Iterator[None]:
    """Let the kernel end this process after `LOCK_TIME`."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, LOCK_TIME)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
