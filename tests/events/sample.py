"""Samples for the tests of the bus: two events, a table of effects, a handler."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, Event, Retry, Subscription, clock, publish, reading, transaction
from events.admin import subscriptions as admin
from events.attempts import Failure
from events.messages import Message
from events.relay.fanout import fan_out
from events.relay.sending import mark_due_as_sent
from events.relay.window import traffic
from events.tables import Attempt, Delivery

SECRET = "ada@example.org"  # personal data that must not turn up where it does not belong


class Noted(Event, type="sample.noted", source="sample"):
    """Something was noted."""

    text: str = ""


class Replied(Event, type="sample.replied", source="sample"):
    """A note was replied to."""

    text: str = ""


class Measured(Event, type="sample.measured", source="sample"):
    """Anything was measured."""

    value: Any = None


class Mark(Base):
    """An effect: a row for each time that a handler ran and committed."""

    __tablename__ = "sample_marks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    what: Mapped[str]


POLICY = Retry(attempts=3, first=10.0, cap=40.0)


def mark(event: Any, session: Session) -> None:
    """Add a mark, as a handler does."""
    session.add(Mark(what=event.text))


def raising(error: Callable[[], Exception]) -> Callable[[Any, Session], None]:
    """Return a handler that raises this error."""

    def handler(event: Any, session: Session) -> None:
        raise error()

    return handler


def new_subscription(
    handler: Callable[..., Any] = mark,
    *event_types: type[Event],
    name: str = "notes.mark",
    batch: int = 1,
    retry: Retry = POLICY,
    call: Callable[..., Any] | None = None,
    call_batch: Callable[..., Any] | None = None,
) -> Subscription:
    """Return a subscription that is not in the registry of this process."""
    return Subscription(
        name,
        name.partition(".")[0],
        event_types or (Noted,),
        handler,
        call or call_batch,
        retry,
        batch,
        calls_batch=call_batch is not None,
    )


def record(event: Noted, session: Session, answer: str) -> None:
    """Record the answer of a call."""
    session.add(Mark(what=answer))


def marks() -> Counter[str]:
    """Return how often each effect happened."""
    with reading() as session:
        return Counter(session.scalars(select(Mark.what)))


def delivery(subscription: str = "notes.mark") -> Delivery:
    """Return the only delivery of a subscription."""
    [row] = deliveries(subscription)
    return row


def deliveries(subscription: str = "notes.mark") -> list[Delivery]:
    """Return all deliveries of a subscription, the oldest event first."""
    with reading() as session:
        return list(
            session.scalars(
                select(Delivery)
                .where(Delivery.subscription == subscription)
                .order_by(Delivery.event_id)
            )
        )


def failed_attempts() -> list[Attempt]:
    """Return every failed attempt, in order."""
    with reading() as session:
        return list(session.scalars(select(Attempt).order_by(Attempt.id)))


def note(*texts: str, subject: str | None = "N-1") -> list[UUID]:
    """Publish a note with each text."""
    with transaction() as session:
        return publish(session, *[Noted(text=text) for text in texts], subject=subject)


def send(*subscriptions: Subscription, slots: int = 1) -> list[Message]:
    """Register these subscriptions, fan out, and mark their due deliveries as sent.

    Returns the messages, as many as the window of a queue with so many `slots` lets through.
    """
    with transaction() as session:
        admin.register(session, subscriptions)
    names, sent = {each.name for each in subscriptions}, []
    while True:
        with transaction() as session:
            events, messages = _round(session, names, slots)
        sent += messages
        if not events and not messages:
            return sent


def _round(session: Session, names: set[str], slots: int) -> tuple[int, list[Message]]:
    """Do a round of the relay that sends to these subscriptions only."""
    queues = Counter({each.partition(".")[0]: slots for each in names})
    known = traffic(session.connection(), queues)
    for each in known:
        each.room = each.room if each.name in names else 0
    events, messages = fan_out(session, known)
    for each in known:
        messages += mark_due_as_sent(session, each)
    return events, messages


def failure(text: str = "it broke") -> Failure:
    """Return a failed attempt."""
    return Failure(ValueError(text), "worker@test", clock.now())
