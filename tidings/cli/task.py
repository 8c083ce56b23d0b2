"""`tidings task`: the deliveries of one task message, which is a row of Flower."""

from dataclasses import asdict

import click

from events import reading
from events.admin import task_messages
from events.inputs import escaped
from tidings.cli.encoding import echo
from tidings.cli.output import json_option, print_json, print_table

_COLUMNS = ("event", "about", "delivery", "state", "in this task", "done")


@click.command()
@click.argument("task_id", metavar="ID")
@json_option
def task(task_id: str, *, as_json: bool) -> None:
    """Show the deliveries of a task, by its id as Flower shows it, in their states now."""
    with reading() as session:
        found = task_messages.show(session, task_id)
    if as_json:
        lines = [asdict(each) | {"in_this_task": each.in_this_task} for each in found.deliveries]
        print_json(asdict(found) | {"deliveries": lines})
        return
    rows = [
        (each.event_type, each.subject, each.id, each.state, each.in_this_task, each.done_at)
        for each in found.deliveries
    ]
    print_table(_COLUMNS, rows, empty="no delivery is left of this task")
    for each in found.deliveries:
        if each.again:
            echo(escaped(f"{each.id} was sent again in another task: {each.again}"))
    if found.part:
        echo("Only the next 20,000 deliveries after the first one were searched.")
