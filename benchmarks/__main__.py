"""Run every benchmark, one after the other: `make bench`, or `python -m benchmarks --quick`.

handle: effects per second of one worker process, beside Celery and five others
orders: whole orders under `tidings up`, from POST to shipped, and the hold times of SQLite's lock
accept: orders per second of one web process, beside plain Flask with Celery
latency: one order at a time on an idle shop
fan_out: events per second of one relay with four subscribers
scale_out: effects per second of 1, 2 and 4 workers of a queue
bulk_acts: the longest time that an order waits beside a bulk act of an operator
growth: pages and speed on an empty database, and on one with a million events
cost: memory, CPU, start-up
kills: messages lost and done twice when workers are killed

Each runs alone as well: `python -m benchmarks.handle`. The results go to a JSON file, an SVG
picture and a Markdown page in the folder that --output names.
"""

import json
import time
from pathlib import Path
from typing import Any

from benchmarks import (
    accept,
    bulk_acts,
    cost,
    fan_out,
    growth,
    handle,
    kills,
    latency,
    machine,
    orders,
    page,
    plot,
    scale_out,
)
from benchmarks.contest import Stalled
from benchmarks.options import Options, options_of, parser, stop_on_sigterm
from benchmarks.report import Result
from benchmarks.servers import Servers

SHORT = (handle, orders, accept, latency, fan_out, scale_out, cost)


def main() -> None:
    """Measure all, print it and write it down."""
    arguments = parser(__doc__)
    arguments.add_argument("--output", type=Path, default=Path("var"), help="a folder; var")
    given = arguments.parse_args()
    options, began = options_of(given), time.monotonic()
    stop_on_sigterm()
    with Servers(options.database, options.broker) as servers:
        about = machine.describe(servers.versions)
        _print(about, options)
        chosen = SHORT if options.quick else (*SHORT, bulk_acts, growth, kills)  # minutes each
        results = [_run(benchmark, servers, options) for benchmark in chosen]
    found = {"machine": about, "database": options.database, "broker": options.broker}
    found |= {"quick": options.quick, "rounds": options.rounds}
    found |= {"minutes": round((time.monotonic() - began) / 60, 1)}
    found |= {"results": {result.name: result.as_json() for result in results}}
    _write(given.output, f"benchmarks-{options.database}-{options.broker}", found, results)


def _run(benchmark: Any, servers: Servers, options: Options) -> Result:
    try:
        result: Result = benchmark.measure(servers, options)
    except Stalled as stalled:
        name = benchmark.__name__.rpartition(".")[2]
        result = Result(name, f"failed: {stalled}", [])
    result.print()
    return result


def _print(about: dict[str, Any], options: Options) -> None:
    for name, value in about.items():
        values = value.items() if isinstance(value, dict) else ()
        listed = ", ".join(f"{part} {version}" for part, version in values)
        print(f"{name}: {listed or value}")
    print(f"database: {options.database}, broker: {options.broker}", flush=True)


def _write(folder: Path, name: str, found: dict[str, Any], results: list[Result]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / f"{name}.svg").write_text(plot.draw(results))
    (folder / f"{name}.md").write_text(page.write(found, results, f"{name}.svg"))
    print(f"\nwrote {folder}/{name}.json, .svg and .md after {found['minutes']} minutes")


if __name__ == "__main__":
    main()
