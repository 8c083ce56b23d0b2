"""Who and what an event follows from: captured once at the edge, carried by every event after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from events.envelope import Actor, Envelope


@dataclass(frozen=True)
class Context:
    """What the next published event inherits."""

    actor: Actor = field(default_factory=Actor)
    correlation_id: UUID | None = None
    traceparent: str | None = None
    subject: str | None = None
    cause: Envelope | None = None


_current: ContextVar[Context] = ContextVar("context", default=Context())


def current() -> Context:
    """The context of this request or this delivery."""
    return _current.get()


@contextmanager
def acting(context: Context) -> Iterator[None]:
    """Do the block's work in `context`."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def caused_by(envelope: Envelope) -> Context:
    """The context of whoever handles `envelope`."""
    return Context(
        actor=envelope.actor,
        correlation_id=envelope.correlation_id,
        traceparent=envelope.traceparent,
        subject=envelope.subject,
        cause=envelope,
    )


def envelope() -> Envelope:
    """The envelope that is being handled. Raises `LookupError` outside a handler."""
    cause = current().cause
    if cause is None:
        raise LookupError(
            "no event is being handled here; envelope() can be called inside a handler only"
        )
    return cause
