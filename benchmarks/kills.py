"""Count the messages that are lost or done twice when the worker is killed with -9 repeatedly.

Run: python -m benchmarks.kills [--messages 2000] [--kills 6]
"""

import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import replace

from redis import Redis
from sqlalchemy import func, select, text

from benchmarks.contest import (
    AT_MOST_ONCE,
    BASELINE,
    BUS,
    CELERY,
    TIDINGS,
    Contender,
    Run,
    until,
)
from benchmarks.effects import effects
from benchmarks.options import Options, parser, run_with
from benchmarks.queries import LEFT
from benchmarks.report import Result, Row, progress
from benchmarks.servers import Servers

LEASE = 10.0  # seconds, of Celery's visibility timeout and of the ledger's lease alike
QUIET = 6 * LEASE  # seconds without an effect after which what is missing counts as lost
_ENV = {"WORK": "0.004", "LEASE": str(LEASE), "PREFETCH": "1", "ACKS_LATE": "1"}
_TWO = ("-c", "2")
_STOCK = replace(BASELINE, worker=(*CELERY, *_TWO), env=_ENV)
_REJECT = _ENV | {"REJECT_ON_WORKER_LOST": "1"}
KILLED = (
    replace(
        _STOCK,
        name="Celery, early acknowledgement",
        guarantee=AT_MOST_ONCE,
        env=_ENV | {"ACKS_LATE": "0"},
    ),
    _STOCK,
    replace(_STOCK, name="Celery, acks_late and reject_on_worker_lost", env=_REJECT),
    replace(TIDINGS, name="Tidings", worker=(*BUS, *_TWO), env=_ENV),
)


def measure(
    servers: Servers, options: Options, *, messages: int | None = None, kills: int | None = None
) -> Result:
    """Kill the worker of each contender at the same moments."""
    messages = messages or int(options.choose(2000, 600))
    kills = kills or int(options.choose(6, 2))
    rows = []
    for contender in [each for each in KILLED if options.only in each.name]:
        progress(f"kills: {contender.name}")
        rows += _rows(servers, contender, messages, kills)
    title = f"{messages:,} messages, kill -9 of the worker and its children up to {kills} times"
    return Result("kills", title, rows)


def _rows(servers: Servers, contender: Contender, messages: int, kills: int) -> list[Row]:
    run = Run(contender, servers)
    try:
        done = _break(run, messages, kills)
        lost, twice = messages - run.done(), _done_twice(run)
    finally:
        run.close()
    found = {"lost": lost, "done twice": twice}
    name, note = contender.name, f"{done} kills"
    return [Row(f"{name}: {of}", "", [n], [], contender.guarantee, note) for of, n in found.items()]


def _break(run: Run, messages: int, kills: int) -> int:
    """Kill the worker while there is work, then wait for the rest; returns how often that was."""
    draw = random.Random(7)  # noqa: S311  the same moments for every contender
    run.send(messages)
    worker, done = run.worker(), 0
    while done < kills and _left(run, messages):
        until(lambda: not _left(run, messages), within=draw.uniform(2.5, 4.5), pause=0.1)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        worker, done = run.worker(), done + 1
    _settle(run, messages)
    return done


def _settle(run: Run, messages: int) -> None:
    """Wait until nothing is left or nothing has moved for a long time: what is slow is not lost."""
    left, quiet_at = _left(run, messages), time.monotonic() + QUIET
    while left and time.monotonic() < quiet_at:
        time.sleep(0.5)
        if (now := _left(run, messages)) != left:
            left, quiet_at = now, time.monotonic() + QUIET


def _left(run: Run, messages: int) -> int:
    """Count the messages on their way, or without an effect where the broker does not say."""
    if run.contender.helper:
        with run.engine.connect() as connection:
            return int(connection.scalar(text(LEFT)) or 0)
    if not run.env["BROKER_URL"].startswith("redis"):
        return messages - run.done()
    with Redis.from_url(run.env["BROKER_URL"], decode_responses=True) as client:
        return int(client.llen("numbers")) + int(client.hlen("unacked"))


def _done_twice(run: Run) -> int:
    """Count the numbers that have more than one effect."""
    again = select(effects.c.number).group_by(effects.c.number).having(func.count() > 1)
    with run.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(again.subquery())) or 0


def main(words: Sequence[str] | None = None) -> None:
    """Run this benchmark alone."""
    options = parser(__doc__)
    options.add_argument("--messages", type=int)
    options.add_argument("--kills", type=int)
    given = options.parse_args(words)
    run_with(given, lambda *each: measure(*each, messages=given.messages, kills=given.kills))


if __name__ == "__main__":
    main()
