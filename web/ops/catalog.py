"""/ops/catalog: every event type with its versions, their JSON Schemas and its subscribers."""

import json
from dataclasses import dataclass
from itertools import groupby

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from events import Event, reading
from events.admin import event_catalog
from events.admin.event_catalog import CatalogEntry, Subscriber
from tasks.durations import retry_text

bp = Blueprint("catalog", __name__, url_prefix="/catalog")


@dataclass(frozen=True)
class Entry:
    """An event type with the classes of its versions and the subscribers of the newest."""

    event_type: str
    versions: list[type[Event]]
    subscribers: list[Subscriber]

    @property
    def newest(self) -> type[Event]:
        """The class that handlers get."""
        return self.versions[-1]


@bp.get("")
def show_list() -> ResponseReturnValue:
    """Show the contract between the services."""
    with reading() as session:
        versions = event_catalog.entries(event_catalog.of_database(session))
    return render_template(
        "ops/catalog.html",
        entries=[_entry(event_type, list(group)) for event_type, group in groupby(versions, _type)],
        json_schema=json_schema,
        retry_text=retry_text,
    )


def _type(entry: CatalogEntry) -> str:
    return entry.event_class.type


def _entry(event_type: str, versions: list[CatalogEntry]) -> Entry:
    return Entry(event_type, [each.event_class for each in versions], versions[-1].subscribers)


def json_schema(event_class: type[Event]) -> str:
    """Format the JSON Schema of the event's data."""
    return json.dumps(event_class.model_json_schema(), indent=2, ensure_ascii=False)
