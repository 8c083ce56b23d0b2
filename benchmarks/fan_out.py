"""Measure how many events per second one relay gives to four subscribers, and its memory.

Run: python -m benchmarks.fan_out [--database postgres] [--broker rabbitmq]

The relay starts idle; then a backlog of events is committed at once. No worker runs.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import psutil
from sqlalchemy import text

from benchmarks.contest import TIDINGS, Run, Stalled, until
from benchmarks.options import Options, run_alone
from benchmarks.queries import RELAYS, UNRELAYED
from benchmarks.report import Result, Row, progress
from benchmarks.servers import Servers

SUBSCRIBERS = 4
_WITHIN = 90.0  # seconds
_LOOK = 0.01  # seconds


def measure(servers: Servers, options: Options) -> Result:
    """Start a relay in each round and let it work off the backlog."""
    events = int(options.choose(10_000, 2000))
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    relay = replace(TIDINGS, env={"SUBSCRIBERS": str(SUBSCRIBERS)})
    for number in range(options.rounds):
        progress(f"fan_out: round {number + 1} of {options.rounds}")
        run = Run(relay, servers)
        try:
            for name, value in _round(run, events).items():
                figures[name].append(value)
        finally:
            run.close()
    rows = [Row(name, unit, values) for (name, unit), values in figures.items()]
    title = f"{events:,} events to {SUBSCRIBERS} subscribers each, from one relay"
    return Result("fan_out", title, rows)


def _round(run: Run, events: int) -> dict[tuple[str, str], float]:
    run.call("from benchmarks.on_bus import announce; announce(0)")
    relay = psutil.Process(run.start_helper().pid)
    _wait(run, RELAYS, lambda found: found > 0)
    start = relay.memory_info().rss
    relay.suspend()  # it would be done before the process that publishes has ended
    run.call(f"from benchmarks.on_bus import announce; announce({events})")
    left, began = _count(run, UNRELAYED), time.perf_counter()
    relay.resume()
    _wait(run, UNRELAYED, lambda found: found == 0)
    took = time.perf_counter() - began
    return {
        ("fanned out", "events/s"): left / took,
        ("resident memory, idle", "MB"): start / 1e6,
        ("resident memory, at the end", "MB"): relay.memory_info().rss / 1e6,
    }


def _count(run: Run, query: str) -> int:
    with run.engine.connect() as connection:
        return int(connection.scalar(text(query)) or 0)


def _wait(run: Run, query: str, good: Callable[[int], bool]) -> None:
    if not until(lambda: good(_count(run, query)), within=_WITHIN, pause=_LOOK):
        raise Stalled(f"the relay makes no progress: {query} finds {_count(run, query)}")


if __name__ == "__main__":
    run_alone(measure, __doc__)
