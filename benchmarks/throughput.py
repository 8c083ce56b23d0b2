"""How many effects a second one worker with two processes reaches: stock Celery, Tidings one by one, Tidings in fifties.

The effect is one row in the same kind of SQLite file. Run: python -m benchmarks.throughput [--messages 2000]
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.contest import Contender, Run

CONTENDERS = (
    Contender("stock, acks_late", "stock", {"ACKS_LATE": "1", "WORK": "0"}),
    Contender("Tidings, one by one", "bus", {"WORK": "0"}),
    Contender("Tidings, batch=50", "bus", {"WORK": "0", "BATCH": "50"}),
)


def main() -> None:
    """Run all contenders and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    messages = parser.parse_args().messages
    home = Path(tempfile.mkdtemp(prefix="tidings-throughput-"))
    for number, contender in enumerate(CONTENDERS):
        run = Run(contender, home / str(number))
        try:
            run.send(messages)
            run.worker()
            print(f"{contender.name:25} {_rate(run, messages):7.0f} effects/s", flush=True)
        finally:
            run.close()


def _rate(run: Run, messages: int) -> float:
    """Effects per second between the first that is seen and the last."""
    first = before = 0
    began, deadline = 0.0, time.monotonic() + 300
    while time.monotonic() < deadline:
        before = sum(run.effects().values())
        if before and not first:
            first, began = before, time.monotonic()
        if before >= messages:
            return (before - first) / (time.monotonic() - began) if before > first else float("inf")
        time.sleep(0.05)
    raise TimeoutError(f"only {before} of {messages} effects in 300 s; see {run.home}/log")


if __name__ == "__main__":
    main()
