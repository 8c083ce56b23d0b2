"""The context of an event: its actor and its cause, captured at the edge and carried on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from events.envelope import Actor, Envelope


@dataclass(frozen=True)
class Context:
    """The values that the next published event inherits."""

    actor: Actor = field(default_factory=Actor)
    correlation_id: UUID | None = None
    traceparent: str | None = None
    subject: str | None = None
    cause: Envelope | None = None
    role: str = ""  # of the login, for the audit


_current: ContextVar[Context] = ContextVar("context", default=Context())
_batch: ContextVar[Sequence[Envelope]] = ContextVar("batch", default=())


def current() -> Context:
    """Return the context of this request or this delivery."""
    return _current.get()


@contextmanager
def acting(context: Context) -> Iterator[None]:
    """Run the block in `context`."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def caused_by(envelope: Envelope) -> Context:
    """Return the context in which `envelope` is handled."""
    return Context(
        actor=envelope.actor,
        correlation_id=envelope.correlation_id,
        traceparent=envelope.traceparent,
        subject=envelope.subject,
        cause=envelope,
    )


@contextmanager
def handling(batch: Sequence[Envelope]) -> Iterator[None]:
    """Run the handler of a batch in the block. What it publishes itself has no cause."""
    token = _batch.set(batch)
    try:
        with acting(Context()):
            yield
    finally:
        _batch.reset(token)


def envelope() -> Envelope:
    """Return the envelope that is being handled. Raises `LookupError` outside a handler."""
    cause = current().cause
    if cause is None:
        raise LookupError(
            "no single event is being handled here; envelope() can be called inside a handler of "
            "one event, and envelopes() inside one of a batch"
        )
    return cause


def envelopes() -> Sequence[Envelope]:
    """Return the envelopes of the batch that is being handled, in the order of its events.

    Raises `LookupError` outside a handler of batches.
    """
    batch = _batch.get()
    if not batch:
        raise LookupError(
            "no batch is being handled here; envelopes() can be called inside a handler that "
            "subscribe_batch declares"
        )
    return batch
