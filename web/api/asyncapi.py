"""The AsyncAPI document of the events, /asyncapi.json, and its page, /asyncapi."""

import json
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from events import reading
from events.admin import event_catalog
from events.contracts import asyncapi

bp = Blueprint("asyncapi", __name__)


@bp.get("/asyncapi.json")
def show_document() -> ResponseReturnValue:
    """Return the AsyncAPI document of the events, with the subscriptions that are registered."""
    return _document()


@bp.get("/asyncapi")
def show_page() -> ResponseReturnValue:
    """Show the document: each channel with its messages and its operations."""
    document = _document()
    return render_template(
        "asyncapi.html", document=document, operations=_operations(document), as_json=_as_json
    )


def _document() -> asyncapi.Document:
    with reading() as session:
        return asyncapi.document(event_catalog.of_database(session), title="Tidings")


def _operations(document: asyncapi.Document) -> dict[str, list[tuple[str, Any]]]:
    """Return the operations by the name of their channel."""
    found: dict[str, list[tuple[str, Any]]] = {name: [] for name in document["channels"]}
    for name, operation in document["operations"].items():
        found[operation["channel"]["$ref"].rpartition("/")[2]].append((name, operation))
    return found


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
