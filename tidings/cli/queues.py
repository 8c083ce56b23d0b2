"""`tidings queues`: the backlog and the workers of every queue."""

from dataclasses import asdict

import click

from events import reading
from events.admin import queues as queue_admin
from tidings.cli.output import json_option, print_json, print_table

_COLUMNS = ("queue", "waiting", "retrying", "dead", "oldest", "paused", "workers", "trouble")


@click.command()
@json_option
def queues(*, as_json: bool) -> None:
    """Show the deliveries that wait, are retried or are dead, and the state of every queue."""
    with reading() as session:
        views = queue_admin.overview(session)
    if as_json:
        print_json([asdict(view) for view in views])
        return
    rows = [
        (
            view.name,
            view.waiting,
            view.retrying,
            view.dead,
            view.oldest,
            view.paused,
            view.workers,
            f"{view.trouble}; {view.fix}" if view.trouble else "",
        )
        for view in views
    ]
    empty = "no queue is registered yet; `tidings migrate` registers those of this installation"
    print_table(_COLUMNS, rows, empty=empty)
