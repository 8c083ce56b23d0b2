"""`tidings catalog`: the events, which are the contract between the services."""

from typing import Any

import click

from events.event import Event
from events.event import catalog as event_classes
from events.subscriptions import discover, registered
from tidings.cli.output import json_option, print_json, print_table
from tidings.cli.parameters import WholeNumber

_COLUMNS = ("event", "version", "published by", "subscribers", "description")


@click.command()
@click.option(
    "--schema", "event_type", metavar="TYPE", help="Print the JSON Schema of this event's data."
)
@click.option(
    "--version", type=WholeNumber(1), help="The version of the schema; default: the newest."
)
@json_option
def catalog(*, event_type: str | None, version: int | None, as_json: bool) -> None:
    """Show every event with its versions, its publisher and its subscribers."""
    discover("tasks", skip={"celery"})
    if event_type is not None:
        print_json(_find(event_type, version).model_json_schema())
        return
    if version is not None:
        raise click.UsageError("--version needs --schema")
    entries = [_entry(event_class) for event_class in event_classes()]
    if as_json:
        print_json(entries)
        return
    print_table(_COLUMNS, [_row(entry) for entry in entries], empty="the catalog is empty")


def _find(event_type: str, version: int | None) -> type[Event]:
    versions = [each for each in event_classes() if each.type == event_type]
    if not versions:
        known = ", ".join(sorted({each.type for each in event_classes()}))
        raise click.BadParameter(
            f"no event has the type {event_type!r}; known types: {known}", param_hint="--schema"
        )
    for each in reversed(versions):
        if version in (None, each.version):
            return each
    raise click.BadParameter(
        f"{event_type} has no version {version}; "
        f"known versions: {', '.join(str(each.version) for each in versions)}",
        param_hint="--version",
    )


def _entry(event_class: type[Event]) -> dict[str, Any]:
    return {
        "type": event_class.type,
        "version": event_class.version,
        "source": event_class.source,
        "subscribers": sorted(
            each.name for each in registered().values() if event_class in each.types
        ),
        "description": (event_class.__doc__ or "").strip().partition("\n")[0],
        "schema": event_class.model_json_schema(),
    }


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    return (
        entry["type"],
        entry["version"],
        entry["source"],
        ", ".join(entry["subscribers"]),
        entry["description"],
    )
