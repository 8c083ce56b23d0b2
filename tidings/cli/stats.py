"""`tidings stats`: the backlog and the speed of every subscription, and what it did so far."""

from dataclasses import asdict
from typing import Final

import click

from events import reading
from events.admin import queues, stats
from events.admin.stats import Figures
from events.inputs import escaped
from tidings.cli.encoding import echo
from tidings.cli.output import cell, json_option, print_json, print_table

FIGURES: Final = (
    *("waiting", "in flight", "retrying", "dead", "oldest", "per minute", "p50", "p95", "p99"),
    "window",
)
NO_QUEUE: Final = (
    "no queue is registered yet; `tidings migrate` registers those of this installation"
)
_COUNTS = ("handled", "failed", "retried", "died", "replayed")
_COLUMNS = ("subscription", "state", *FIGURES, *_COUNTS)


@click.command("stats")
@json_option
def show_stats(*, as_json: bool) -> None:
    """Show the backlog and the speed of every subscription, and what it did so far.

    p50, p95 and p99 are the times from commit to effect in the last hour.
    """
    with reading() as session:
        found = stats.read(session, history=as_json)
        relay = {"unrelayed": queues.unrelayed(session), "relay_lag": queues.relay_lag(session)}
    if as_json:
        print_json(relay | {"queues": [_plain(queue) for queue in found]})
        return
    lines = [line for queue in found for line in queue.subscriptions]
    print_table(_COLUMNS, [_row(line) for line in lines], empty=NO_QUEUE)
    for queue in found:
        for each in queue.versions:
            name = escaped(f"{queue.view.name}: {each.version}")
            replaced = "" if each.workers else ", replaced"
            echo(f"workers of {name} since {cell(each.since)}{replaced}")


def figures(each: Figures) -> tuple[object, ...]:
    """Return the cells of the columns `FIGURES`."""
    backlog = (each.waiting, each.in_flight, each.retrying, each.dead, each.oldest)
    return (*backlog, f"{each.per_minute:g}", each.p50, each.p95, each.p99, each.window)


def _plain(queue: stats.QueueStats) -> dict[str, object]:
    found: dict[str, object] = asdict(queue.figures)
    found["versions"] = [asdict(each) for each in queue.versions]
    found["subscriptions"] = [asdict(line) for line in queue.subscriptions]
    return found | {"history": [asdict(point) for point in queue.history]}


def _row(line: Figures) -> tuple[object, ...]:
    return line.name, line.state, *figures(line), *(getattr(line, name) for name in _COUNTS)
