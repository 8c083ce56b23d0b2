"""`tidings queues`: what waits, what is retried, what is dead, and who works."""

from dataclasses import asdict

import click

from events import reading
from events.admin import queues
from tidings.cli.output import json_option, print_json, print_table

COLUMNS = ("queue", "waiting", "retrying", "dead", "oldest", "paused", "workers")


@click.command("queues")
@json_option
def show_queues(*, as_json: bool) -> None:
    """Show every queue: what waits, what is retried, what is dead, how old the oldest is, who works."""
    with reading() as session:
        views = queues.overview(session)
    if as_json:
        print_json([asdict(view) for view in views])
        return
    rows = [
        (view.name, view.waiting, view.retrying, view.dead, view.oldest, view.paused, view.workers)
        for view in views
    ]
    print_table(
        COLUMNS, rows, empty="no queue yet; `tidings migrate` registers those of this installation"
    )
