"""/ops/catalog: every event type with its versions, its JSON Schema, who publishes it and who hears it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from events import Event, reading
from events.admin import subscriptions as admin
from events.event import catalog
from events.tables import SubscriptionRow

bp = Blueprint("catalog", __name__, url_prefix="/catalog")


@dataclass(frozen=True)
class Entry:
    """One event type of the catalog."""

    name: str
    versions: list[type[Event]]
    subscribers: list[str]

    @property
    def newest(self) -> type[Event]:
        """The class that handlers see."""
        return self.versions[-1]


@bp.get("")
def listed() -> ResponseReturnValue:
    """Show the contract between the services."""
    with reading() as session:
        subscriptions = admin.listed(session)
    return render_template("ops/catalog.html", entries=_entries(subscriptions), schema=schema)


def _entries(subscriptions: Sequence[SubscriptionRow]) -> list[Entry]:
    return [
        Entry(name, list(versions), [row.name for row in subscriptions if name in row.event_types])
        for name, versions in groupby(catalog(), key=lambda event: event.type)
    ]


def schema(event: type[Event]) -> str:
    """The JSON Schema of the event's data, for reading."""
    return json.dumps(event.model_json_schema(), indent=2, ensure_ascii=False)
