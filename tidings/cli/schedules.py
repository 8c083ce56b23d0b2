"""`tidings schedules`: the entries that publish events at their due times."""

from dataclasses import asdict

import click

from events import reading
from events.admin import schedules as admin
from tidings.cli.output import ago, json_option, print_json, print_table

_COLUMNS = ("schedule", "due", "missed", "event", "last", "next", "trouble")


@click.command()
@json_option
def schedules(*, as_json: bool) -> None:
    """List the schedules, the next ones first."""
    with reading() as session:
        lines = admin.listed(session)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    rows = [
        (
            line.name,
            line.due,
            line.missed,
            line.event_type,
            ago(line.last_due_at),
            line.next_due_at,
            line.trouble or None,
        )
        for line in lines
    ]
    empty = "no schedule is registered; a relay registers those of the code when it starts"
    print_table(_COLUMNS, rows, empty=empty)
