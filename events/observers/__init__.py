"""Observers: what watches the bus from outside, such as Sentry and OpenTelemetry.

Without any, nothing is imported and each hook costs one test of an empty list.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.orm import Session

from events.attempts import Failure
from events.envelope import Envelope
from events.errors import NotNow
from events.messages import Message
from events.tables import Delivery

logger = structlog.get_logger("tidings.observers")


@dataclass(frozen=True)
class FailedDelivery:
    """A failed attempt that is recorded. Only `error` may hold personal data."""

    subscription: str
    event_id: UUID
    attempt: int
    fingerprint: str
    dead: bool
    first: bool  # the first failure of this delivery; "not now" is none
    error: BaseException = field(repr=False)


@dataclass(frozen=True)
class Sending:
    """Messages that the relay has handed to the broker together, or could not.

    `traceparents` reads those of all their events from the log.
    """

    messages: Sequence[Message]
    began: int  # in nanoseconds since the epoch
    refused: Mapping[str, Exception]  # by queue
    traceparents: Callable[[], Mapping[UUID, str | None]]


class Observer:
    """A watcher of the bus. Its methods must return at once, and do nothing here."""

    def requesting(self, name: str, traceparent: str | None) -> AbstractContextManager[object]:
        """Return the context in which a web request is answered."""
        return nullcontext()

    def publishing(
        self, event_type: str, event_id: UUID, traceparent: str | None
    ) -> AbstractContextManager[str | None]:
        """Return a context with the traceparent to record for an event, `None` for no change."""
        return nullcontext()

    def handling(
        self, subscription: str, queue: str, envelopes: Sequence[Envelope]
    ) -> AbstractContextManager[object]:
        """Return the context in which one event is handled, or several by one call."""
        return nullcontext()

    def calling(self, subscription: str, envelope: Envelope) -> AbstractContextManager[object]:
        """Return the context in which the outside is called for one event."""
        return nullcontext()

    def failed(self, delivery: FailedDelivery) -> None:
        """Take note of a failed attempt, after the commit that recorded it."""

    def sent(self, sending: Sending) -> None:
        """Take note of messages that the relay has sent."""

    def close(self) -> None:
        """Hand over what is left, within seconds: the process ends."""


_observers: list[Observer] = []


def add(observer: Observer) -> None:
    """Let an observer watch this process."""
    _observers.append(observer)


def remove(observer: Observer) -> None:
    """End what `add` began."""
    _observers.remove(observer)


def close() -> None:
    """Let each observer hand over what it has, before the process ends."""
    for observer in _observers:
        observer.close()


def requesting(name: str, traceparent: str | None) -> AbstractContextManager[object]:
    """Return the context in which a web request is answered."""
    return _entered(lambda each: each.requesting(name, traceparent))


def handling(
    subscription: str, queue: str, envelopes: Sequence[Envelope]
) -> AbstractContextManager[object]:
    """Return the context in which one event is handled, or several by one call."""
    return _entered(lambda each: each.handling(subscription, queue, envelopes))


def calling(subscription: str, envelope: Envelope) -> AbstractContextManager[object]:
    """Return the context in which the outside is called for one event."""
    return _entered(lambda each: each.calling(subscription, envelope))


def traceparent_of(event_type: str, event_id: UUID, traceparent: str | None) -> str | None:
    """Return the traceparent to record for an event; that of its cause, if nobody traces."""
    for observer in _observers:
        with _Guarded(partial(observer.publishing, event_type, event_id, traceparent)) as chosen:
            traceparent = chosen or traceparent
    return traceparent


def note_failure(session: Session, row: Delivery, failure: Failure) -> None:
    """Tell the observers of a recorded failure as soon as the session is committed."""
    if _observers:
        failed = _failed_delivery(row, failure)
        tell = partial(_tell, lambda each: each.failed(failed))
        sqlalchemy_event.listen(session, "after_commit", lambda _: tell(), once=True)


def note_sent(sending: Sending) -> None:
    """Tell the observers of messages that the relay has sent."""
    _tell(lambda each: each.sent(sending))


def _failed_delivery(row: Delivery, failure: Failure) -> FailedDelivery:
    not_now = isinstance(failure.error, NotNow)
    return FailedDelivery(
        subscription=row.subscription,
        event_id=row.event_id,
        attempt=row.attempts,
        fingerprint=failure.fingerprint,
        dead=row.died_at is not None,
        first=row.attempts - row.not_now == 1 and not not_now,
        error=failure.error,
    )


def _tell(fact: Callable[[Observer], None]) -> None:
    for observer in _observers:
        try:
            fact(observer)
        except Exception as error:  # who watches must not break what is watched
            _note_trouble(error)


_NOTHING: AbstractContextManager[object] = nullcontext()


def _entered(
    context: Callable[[Observer], AbstractContextManager[object]],
) -> AbstractContextManager[object]:
    if not _observers:
        return _NOTHING
    return _all([_Guarded(partial(context, each)) for each in _observers])


@contextmanager
def _all(contexts: Sequence[AbstractContextManager[object]]) -> Iterator[None]:
    with ExitStack() as stack:
        for each in contexts:
            stack.enter_context(each)
        yield


class _Guarded(AbstractContextManager[Any]):
    """The context of one observer, whose own errors are logged and change nothing."""

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make = make
        self._entered: AbstractContextManager[Any] | None = None

    def __enter__(self) -> Any:
        try:
            context = self._make()
            value = context.__enter__()
        except Exception as error:
            _note_trouble(error)
            return None
        self._entered = context
        return value

    def __exit__(self, *told: Any) -> None:
        try:
            if self._entered is not None:
                self._entered.__exit__(*told)
        except Exception as error:
            if error is not told[1]:  # that of the block goes on by itself
                _note_trouble(error)


def _note_trouble(error: Exception) -> None:
    logger.warning("observer.failed", error=type(error).__name__)
