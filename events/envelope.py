"""The envelope: CloudEvents 1.0 around one event, and its form outside of Tidings."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import TypeAdapter

from events.event import Event, decode


@dataclass(frozen=True, slots=True)
class Actor:
    """The user, tenant, address and user agent of the web request that caused an event."""

    user: str | None = None
    tenant: str | None = None
    ip: str | None = None
    agent: str | None = None

    def known(self) -> dict[str, str]:
        """Return the fields that have a value."""
        return {name: value for name in _ACTOR_FIELDS if (value := getattr(self, name)) is not None}


_ACTOR_FIELDS = tuple(each.name for each in fields(Actor))


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event with its identity and its origin, as the log stores it."""

    id: UUID
    type: str
    version: int
    source: str
    time: datetime
    subject: str | None
    correlation_id: UUID
    causation_id: UUID | None
    actor: Actor
    traceparent: str | None
    data: dict[str, Any]

    def event(self) -> Event:
        """Return the event in its newest version. Raises `UnknownEvent`."""
        return decode(self.type, self.version, self.data)

    def to_cloudevent(self) -> CloudEvent:
        """Return the envelope as a CloudEvent; values without an attribute there are extensions."""
        extensions = {
            "subject": self.subject,
            "traceparent": self.traceparent,
            "correlationid": str(self.correlation_id),
            "causationid": self.causation_id and str(self.causation_id),
            "user": self.actor.user,
            "tenant": self.actor.tenant,
            "clientip": self.actor.ip,
            "useragent": self.actor.agent,
        }
        attributes: dict[str, Any] = {
            "id": str(self.id),
            "source": f"/{self.source}",
            "type": self.type,
            "time": self.time,
            "datacontenttype": "application/json",
            "dataversion": str(self.version),
        }
        attributes.update({name: value for name, value in extensions.items() if value})
        return CloudEvent(attributes=attributes, data=self.data)

    def to_json(self) -> bytes:
        """Return the CloudEvent in the JSON event format (structured mode)."""
        return JSONFormat().write(self.to_cloudevent())

    @classmethod
    def from_cloudevent(cls, event: CloudEvent) -> "Envelope":
        """Make the envelope of a CloudEvent that `to_cloudevent` made, here or elsewhere.

        Raises pydantic's `ValidationError`.
        """
        extra = event.get_extension
        return _VALIDATED.validate_python(
            {
                "id": event.get_id(),
                "type": event.get_type(),
                "version": extra("dataversion"),
                "source": event.get_source().lstrip("/"),
                "time": event.get_time(),
                "subject": event.get_subject(),
                "correlation_id": extra("correlationid"),
                "causation_id": extra("causationid"),
                "actor": {
                    "user": extra("user"),
                    "tenant": extra("tenant"),
                    "ip": extra("clientip"),
                    "agent": extra("useragent"),
                },
                "traceparent": extra("traceparent"),
                "data": event.get_data(),
            }
        )


_VALIDATED = TypeAdapter(Envelope)  # the log's own rows are made without validation
