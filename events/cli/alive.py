"""`alive`: examine the heartbeats of this host, for the probes of a container."""

import socket

import click
from sqlalchemy.exc import DBAPIError

from events import environment, heartbeat, reading
from events.cli.output import PROBLEMS_FOUND, json_option, print_json
from events.db_errors import describe_error
from events.inputs import escaped


@click.command()
@json_option
def alive(*, as_json: bool) -> None:
    """Examine whether a relay or worker of this host has a heartbeat.

    Exit code 3 without one. A database that cannot be asked, or is not migrated yet, is no reason
    to restart a process: the exit code is 0 then.
    """
    environment.require_valid()
    host, trouble = socket.gethostname(), ""
    names: list[str] = []
    try:
        with reading() as session:
            names = [each.name for each in heartbeat.alive(session) if _host(each.name) == host]
    except DBAPIError as error:
        trouble = describe_error(error)
    if as_json:
        print_json({"host": host, "alive": names, "database": trouble or None})
    elif trouble:
        click.echo(escaped(f"the database cannot be asked: {trouble}"))
    else:
        click.echo(escaped(f"alive on {host}: {', '.join(names) or 'none'}"))
    if not names and not trouble:
        raise click.exceptions.Exit(PROBLEMS_FOUND)


def _host(name: str) -> str:
    """Return the host of `payment@host` or `relay@host:pid`."""
    return name.partition("@")[2].partition(":")[0]
