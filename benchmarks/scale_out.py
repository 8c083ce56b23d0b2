"""Measure the effects per second of 1, 2 and 4 worker processes of one queue.

Run: python -m benchmarks.scale_out --database postgres --broker rabbitmq

A backlog waits when the workers start. The relay, the database and the broker take their share of
the same cores, so the sum ends where the cores do. The handler that waits 20 ms for each effect, as
for a call, leaves the cores free and shows how the workers add up before that.
"""

import os
from dataclasses import replace

from benchmarks.contest import TIDINGS, Contender
from benchmarks.handle import rate
from benchmarks.options import Options, run_alone
from benchmarks.report import Result, Row, progress
from benchmarks.servers import Servers

WORKERS = (1, 2, 4)
_ONE_BY_ONE = replace(TIDINGS, name="Tidings, batch=1", env={"BATCH": "1"})
_WAITING = replace(TIDINGS, name="Tidings, waiting 20 ms", env={"BATCH": "1", "WORK": "0.02"})
_BACKLOGS = ((TIDINGS, 20_000), (_ONE_BY_ONE, 3000), (_WAITING, 1000))


def measure(servers: Servers, options: Options) -> Result:
    """Let each number of workers work off a backlog in each round."""
    rows = []
    for contender, messages in _BACKLOGS:
        found = {count: Row(_name(contender, count), "effects/s") for count in WORKERS}
        for number in range(options.rounds):
            baseline = 0.0
            for count, row in found.items():
                progress(f"scale_out: round {number + 1} of {options.rounds}, {row.name}")
                backlog = int(options.choose(messages, messages / 5))
                found_rate = rate(servers, contender, backlog, workers=count)
                baseline = baseline or found_rate
                row.values.append(found_rate)
                row.ratios.append(found_rate / baseline)
        rows += found.values()
    return Result("scale_out", f"several workers of one queue on {os.cpu_count()} cores", rows)


def _name(contender: Contender, workers: int) -> str:
    return f"{contender.name}, {workers} worker{'s' * (workers > 1)}"


if __name__ == "__main__":
    run_alone(measure, __doc__)
