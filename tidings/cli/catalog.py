"""`tidings catalog`: the events, which are the contract between the services."""

from typing import Any

import click

from events.admin import event_catalog
from events.admin.event_catalog import CatalogEntry
from events.event import Event
from events.event import catalog as event_classes
from events.subscriptions import discover
from tasks.durations import policy_json, retry_text
from tidings.cli.output import json_option, print_json, print_table
from tidings.cli.parameters import WholeNumber

_COLUMNS = ("event", "version", "published by", "subscribers", "description")
_RETRY_COLUMNS = ("subscription", "retried")


@click.command()
@click.option(
    "--schema", "event_type", metavar="TYPE", help="Print the JSON Schema of this event's data."
)
@click.option(
    "--version", type=WholeNumber(1), help="The version of the schema; default: the newest."
)
@json_option
def catalog(*, event_type: str | None, version: int | None, as_json: bool) -> None:
    """Show every event with its versions, its publisher and its subscribers, and their retries."""
    discover("tasks", skip={"celery"})
    if event_type is not None:
        print_json(_find(event_type, version).model_json_schema())
        return
    if version is not None:
        raise click.UsageError("--version needs --schema")
    subscribers = event_catalog.of_code()
    entries = [_entry(each) for each in event_catalog.entries(subscribers)]
    if as_json:
        print_json(entries)
        return
    print_table(_COLUMNS, [_row(entry) for entry in entries], empty="the catalog is empty")
    click.echo()
    retries = [(each.name, retry_text(each.policy)) for each in subscribers]
    print_table(_RETRY_COLUMNS, sorted(retries), empty="no subscription")


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


def _entry(entry: CatalogEntry) -> dict[str, Any]:
    event_class = entry.event_class
    return {
        "type": event_class.type,
        "version": event_class.version,
        "source": event_class.source,
        "subscribers": [each.name for each in entry.subscribers],
        "retries": {each.name: policy_json(each.policy) for each in entry.subscribers},
        "description": entry.description,
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
