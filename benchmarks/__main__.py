"""Run every benchmark, one after the other: `make bench`, or `python -m benchmarks --quick`.

The results go to a JSON file and a picture in the folder that --output names.
"""

import json
import time
from pathlib import Path
from typing import Any

from benchmarks import accept, cost, fan_out, handle, kills, latency, machine, orders, plot
from benchmarks.contest import Stalled
from benchmarks.options import Options, end_in_order, options_of, parser
from benchmarks.report import Result
from benchmarks.servers import Servers

SHORT = (handle, orders, accept, latency, fan_out, cost)


def main() -> None:
    """Measure all, print it and write it down."""
    words = parser(__doc__)
    words.add_argument("--output", type=Path, default=Path("var"), help="a folder; var")
    given = words.parse_args()
    options, began = options_of(given), time.monotonic()
    end_in_order()
    with Servers(options.database, options.broker) as servers:
        about = machine.describe(servers.versions)
        _print(about, options)
        chosen = SHORT if options.quick else (*SHORT, kills)  # lost messages take long to come back
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
    print(f"\nwrote {folder}/{name}.json and .svg after {found['minutes']} minutes")


if __name__ == "__main__":
    main()
