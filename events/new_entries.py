"""New entries of the log: an event in the context that it is published in, checked."""

from datetime import datetime
from typing import Any

from uuid_utils.compat import uuid7

from events import clock, context, observers, traceparents
from events.errors import PublishError
from events.event import Event
from events.inputs import UNSTORABLE

MAX_SUBJECT = 200  # characters


def new_entry(
    event: Event, *, subject: str | None = None, at: datetime | None = None
) -> dict[str, Any]:
    """Return the values of a new entry of the log, in the current context.

    Raises `PublishError`.
    """
    data = _data(event)
    inherited = context.current()
    event_id, now = uuid7(), clock.now()
    traceparent = traceparents.checked(inherited.traceparent)
    return {
        "id": event_id,
        "type": event.type,
        "version": event.version,
        "source": event.source,
        "subject": _subject(subject or inherited.subject),
        "time": now,
        "correlation_id": inherited.correlation_id or event_id,
        "causation_id": inherited.cause.id if inherited.cause else None,
        "actor": inherited.actor.known(),
        "traceparent": observers.traceparent_of(event.type, event_id, traceparent)
        or traceparents.new(),
        "data": data,
        "publish_at": at or now,
        "relayed_at": None,
    }


def _data(event: Any) -> dict[str, Any]:
    if not (isinstance(event, Event) and event.type):
        found = event.__name__ if isinstance(event, type) else f"a {type(event).__name__}"
        raise PublishError(f"{found} is no event; publish an instance of a class with a type")
    try:
        return event.model_dump(mode="json")
    except (ValueError, RecursionError) as error:  # its text may be personal
        told = f"the data of {event.type} cannot be written as JSON: {type(error).__name__}"
        raise PublishError(told) from error


def _subject(given: Any) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str):
        raise PublishError(f"subject is a {type(given).__name__}; give a text")
    if len(given) > MAX_SUBJECT or UNSTORABLE.search(given):
        raise PublishError(
            f"subject {given[:50]!r} is no text of at most {MAX_SUBJECT} characters; leave out NUL "
            "and halves of surrogate pairs, which no database stores"
        )
    return given
