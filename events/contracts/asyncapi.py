"""The event catalog as an AsyncAPI 3 document: a channel for each type, a message for each version.

A message is the CloudEvent that `Envelope.to_json` writes. Publishers send the newest version, and
each subscription receives it; the older versions are still in the log.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any

from pydantic.json_schema import models_json_schema

from events.admin.event_catalog import CatalogEntry, Subscriber, entries
from events.event import Event

CONTENT_TYPE = "application/cloudevents+json"
Document = dict[str, Any]
_DESCRIPTION = (
    "Events of the log, each as a CloudEvent. A subscription gets each event in its newest "
    "version, and its effect happens once. Events have no order."
)
_ENVELOPE_KEY = "tidings.Envelope"  # an event of an application may be called Envelope
_ENVELOPE: Document = {
    "type": "object",
    "description": "The attributes of CloudEvents 1.0, and those of Tidings.",
    "required": ["specversion", "id", "source", "type", "time", "dataversion", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid"},
        "source": {"type": "string"},
        "type": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "subject": {"type": "string", "description": "the thing that the event is about"},
        "datacontenttype": {"const": "application/json"},
        "dataversion": {"type": "string", "description": "the version of the data"},
        "correlationid": {"type": "string", "format": "uuid"},
        "causationid": {"type": "string", "format": "uuid"},
        "traceparent": {"type": "string", "description": "W3C Trace Context"},
        "user": {"type": "string"},
        "tenant": {"type": "string"},
        "clientip": {"type": "string"},
        "useragent": {"type": "string"},
        "data": {"description": "the event itself"},
    },
}


def document(subscribers: Iterable[Subscriber], *, title: str) -> Document:
    """Return the AsyncAPI document of every event that this process knows."""
    listed = entries(subscribers)
    groups = [(name, list(group)) for name, group in groupby(listed, _type)]
    schemas, references = _schemas([each.event_class for each in listed])
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": "1", "description": _DESCRIPTION},
        "defaultContentType": CONTENT_TYPE,
        "channels": {_key(name): _channel(name, group) for name, group in groups},
        "operations": dict(_operations(groups)),
        "components": {
            "messages": {
                _message_key(each.event_class): _message(each, references) for each in listed
            },
            "schemas": {_ENVELOPE_KEY: _ENVELOPE, **schemas},
        },
    }


def _type(entry: CatalogEntry) -> str:
    return entry.event_class.type


def _schemas(classes: Sequence[type[Event]]) -> tuple[Document, dict[type[Event], Document]]:
    """Return the definitions of these classes and all they contain, and references to them."""
    template = "#/components/schemas/{model}"
    found, definitions = models_json_schema(
        [(each, "serialization") for each in classes], ref_template=template
    )
    references = {each: found[each, "serialization"] for each in classes}
    return definitions.get("$defs", {}), references


def _channel(event_type: str, group: Sequence[CatalogEntry]) -> Document:
    return {
        "address": event_type,
        "description": group[-1].description,
        "messages": {
            _message_key(each.event_class): {
                "$ref": f"#/components/messages/{_message_key(each.event_class)}"
            }
            for each in group
        },
    }


def _message(entry: CatalogEntry, references: dict[type[Event], Document]) -> Document:
    event_class = entry.event_class
    attributes = {
        "type": {"const": event_class.type},
        "source": {"const": f"/{event_class.source}"},
        "dataversion": {"const": str(event_class.version)},
        "data": references[event_class],
    }
    return {
        "name": event_class.__name__,
        "title": f"{event_class.type} v{event_class.version}",
        "summary": entry.description,
        "contentType": CONTENT_TYPE,
        "payload": {
            "allOf": [{"$ref": f"#/components/schemas/{_ENVELOPE_KEY}"}, {"properties": attributes}]
        },
    }


def _operations(groups: Iterable[tuple[str, Sequence[CatalogEntry]]]) -> Iterable[tuple[str, Any]]:
    """Yield the sending of each event, and for each subscription its receiving of each of them."""
    for event_type, group in groups:
        newest = group[-1]
        yield (
            f"{_key(newest.event_class.source)}.publish.{_key(event_type)}",
            _operation("send", newest, f"{newest.event_class.source} publishes it"),
        )
        for each in newest.subscribers:
            yield (
                f"{each.name}.{_key(event_type)}",
                _operation("receive", newest, f"{each.name} handles it on queue {each.queue}"),
            )


def _operation(action: str, entry: CatalogEntry, summary: str) -> Document:
    channel, message = _key(entry.event_class.type), _message_key(entry.event_class)
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _key(text: str) -> str:
    """Return a key of AsyncAPI: letters, digits and `.-_`. Two texts have two keys."""
    key = re.sub(r"[^A-Za-z0-9._-]", "_", text)
    return key if key == text else f"{key}-{sha256(text.encode()).hexdigest()[:8]}"


def _message_key(event_class: type[Event]) -> str:
    return f"{_key(event_class.type)}.v{event_class.version}"
