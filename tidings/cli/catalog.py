"""`tidings catalog`: the contract between the services."""

from typing import Any

import click

from events.event import Event
from events.event import catalog as classes
from events.subscriptions import discover, registered
from tidings.cli.output import json_option, print_json, print_table


@click.command()
@click.option(
    "--schema", "event_type", metavar="TYPE", help="Print the JSON Schema of this event's data."
)
@click.option("--version", type=int, help="Of this version; the newest otherwise.")
@json_option
def catalog(*, event_type: str | None, version: int | None, as_json: bool) -> None:
    """Show every event: its versions, who publishes it, who hears it."""
    discover("tasks", skip={"celery"})
    if event_type is not None:
        print_json(_find(event_type, version).model_json_schema())
        return
    if version is not None:
        raise click.UsageError("--version goes with --schema")
    entries = [_entry(each) for each in classes()]
    if as_json:
        print_json(entries)
        return
    rows = [
        (
            entry["type"],
            entry["version"],
            entry["source"],
            ", ".join(entry["subscribers"]),
            entry["what"],
        )
        for entry in entries
    ]
    print_table(
        ("event", "version", "published by", "heard by", "what"), rows, empty="the catalog is empty"
    )


def _find(event_type: str, version: int | None) -> type[Event]:
    versions = [each for each in classes() if each.type == event_type]
    if not versions:
        known = sorted({each.type for each in classes()})
        raise click.BadParameter(
            f"there is no event {event_type!r}; there are: {', '.join(known)}",
            param_hint="--schema",
        )
    for each in reversed(versions):
        if version in (None, each.version):
            return each
    raise click.BadParameter(
        f"{event_type} has versions {', '.join(str(each.version) for each in versions)}",
        param_hint="--version",
    )


def _entry(event: type[Event]) -> dict[str, Any]:
    subscribers = sorted(each.name for each in registered().values() if event in each.types)
    what = (event.__doc__ or "").strip().partition("\n")[0]
    return {
        "type": event.type,
        "version": event.version,
        "source": event.source,
        "subscribers": subscribers,
        "what": what,
        "schema": event.model_json_schema(),
    }
