"""`tidings queues`: the backlog, the speed and the workers of every queue."""

from dataclasses import asdict

import click

from events import reading
from events.admin import stats
from events.admin.stats import QueueStats
from tasks.worker_command import worker_command
from tidings.cli.encoding import echo
from tidings.cli.output import json_option, print_json, print_table
from tidings.cli.stats import FIGURES, NO_QUEUE, figures

_COLUMNS = ("queue", "state", *FIGURES, "workers", "paused", "trouble")


@click.command()
@json_option
def queues(*, as_json: bool) -> None:
    """Show the backlog, the speed and the state of every queue.

    p50, p95 and p99 are the times from commit to effect in the last hour.
    """
    with reading() as session:
        found = stats.read(session, history=False)
    if as_json:
        print_json([_plain(queue) for queue in found])
        return
    print_table(_COLUMNS, [_row(queue) for queue in found], empty=NO_QUEUE)
    for queue in found:
        if not queue.view.workers:
            echo(f"{queue.view.name} has no worker; start one: {worker_command(queue.view.name)}")


def _plain(queue: QueueStats) -> dict[str, object]:
    view = queue.view
    start = None if view.workers else worker_command(view.name)
    return asdict(queue.figures) | {"trouble": view.trouble, "fix": view.fix, "start": start}


def _row(queue: QueueStats) -> tuple[object, ...]:
    view = queue.view
    trouble = f"{view.trouble}; {view.fix}" if view.trouble else ""
    return view.name, view.state, *figures(queue.figures), view.workers, view.paused, trouble
