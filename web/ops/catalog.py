"""/ops/catalog: every event type with its versions, their JSON Schemas and its subscribers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from events import Event, reading
from events.admin import subscriptions
from events.event import catalog
from events.tables import SubscriptionRow

bp = Blueprint("catalog", __name__, url_prefix="/catalog")


@dataclass(frozen=True)
class Entry:
    """An event type with the classes of its versions and the names of its subscriptions."""

    event_type: str
    versions: list[type[Event]]
    subscribers: list[str]

    @property
    def newest(self) -> type[Event]:
        """The class that handlers get."""
        return self.versions[-1]


@bp.get("")
def show_list() -> ResponseReturnValue:
    """Show the contract between the services."""
    with reading() as session:
        rows = subscriptions.listed(session)
    return render_template("ops/catalog.html", entries=_entries(rows), json_schema=json_schema)


def _entries(rows: Sequence[SubscriptionRow]) -> list[Entry]:
    return [
        Entry(
            event_type,
            versions=list(versions),
            subscribers=[row.name for row in rows if event_type in row.event_types],
        )
        for event_type, versions in groupby(catalog(), key=lambda event_class: event_class.type)
    ]


def json_schema(event_class: type[Event]) -> str:
    """Format the JSON Schema of the event's data."""
    return json.dumps(event_class.model_json_schema(), indent=2, ensure_ascii=False)
