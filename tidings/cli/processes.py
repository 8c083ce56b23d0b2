"""`tidings processes`: the live processes, and the version of each worker's application."""

import click

from events import heartbeat, reading
from tidings.cli.output import ago, json_option, print_json, print_table

_FIELDS = ("name", "kind", "queues", "version", "started_at", "last_seen", "trouble")
_COLUMNS = ("process", "kind", "queues", "version", "since", "last seen", "trouble")


@click.command()
@json_option
def processes(*, as_json: bool) -> None:
    """List the live processes; workers tell the version of their application."""
    with reading() as session:
        rows = heartbeat.alive(session)
    if as_json:
        print_json([{name: getattr(row, name) for name in _FIELDS} for row in rows])
        return
    lines = [
        (
            row.name,
            row.kind,
            ", ".join(row.queues),
            row.version,
            row.started_at,
            ago(row.last_seen),
            row.trouble,
        )
        for row in rows
    ]
    print_table(_COLUMNS, lines, empty="no process has sent a heartbeat lately")
