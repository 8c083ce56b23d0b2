"""The same messages and the same kill -9 of the worker, for stock Celery and for Tidings: what is lost, what is done twice.

Run: python -m benchmarks.kills [--messages 3000] [--kills 10]
"""

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.contest import LEASE, Contender, Run

QUIET = 6 * LEASE  # seconds
CONTENDERS = (
    Contender("stock, early acknowledgement", "stock", {}),
    Contender("stock, acks_late", "stock", {"ACKS_LATE": "1"}),
    Contender(
        "stock, acks_late and reject_on_worker_lost",
        "stock",
        {"ACKS_LATE": "1", "REJECT_ON_WORKER_LOST": "1"},
    ),
    Contender("Tidings", "bus", {}),
)


def main() -> None:
    """Run all contenders and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="tidings-kills-"))
    print(
        f"{options.messages} messages, {options.kills} times kill -9 of the worker and its children"
    )
    for number, contender in enumerate(CONTENDERS):
        run = Run(contender, home / str(number))
        effects, kills, took = _break(run, options.messages, options.kills)
        lost = options.messages - len(effects)
        doubled = sum(1 for times in effects.values() if times > 1)
        print(
            f"{contender.name:45} lost {lost:4}  done twice {doubled:4}  kills {kills:3}  {took:5.0f} s",
            flush=True,
        )


def _break(run: Run, messages: int, kills: int) -> tuple[Counter[int], int, float]:
    draw = random.Random(7)  # noqa: S311 - the same moments for every contender
    began, done = time.monotonic(), 0
    run.send(messages)
    worker = run.worker()
    try:
        while done < kills and run.left():
            _wait(lambda: not run.left(), draw.uniform(2.5, 4.5))
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
            worker, done = run.worker(), done + 1
        _settle(run)
    finally:
        run.close()
    return run.effects(), done, time.monotonic() - began


def _settle(run: Run) -> None:
    """Until nothing is left, or nothing has moved for so long that nothing will: what is slow is not lost."""
    left, quiet_at = run.left(), time.monotonic() + QUIET
    while left and time.monotonic() < quiet_at:
        time.sleep(0.5)
        if (now := run.left()) != left:
            left, quiet_at = now, time.monotonic() + QUIET


def _wait(condition: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
