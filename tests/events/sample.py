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
from events.tables import Attempt, Delivery

SECRET = "ada@example.org"  # personal data that must not turn up where it does not belong


class Noted(Event, type="sample.noted", source="sample"):
    """Something was noted."""

    text: str = ""


class Replied(Event, type="sample.replied", source="sample"):
    """A note was replied to."""

    text: str = ""


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
) -> Subscription:
    """Return a subscription that is not in the registry of this process."""
    return Subscription(
        name, name.partition(".")[0], event_types or (Noted,), handler, call, retry, batch
    )


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


def send(*subscriptions: Subscription) -> list[Message]:
    """Register these subscriptions, fan out, and mark what is due as sent; return the messages."""
    with transaction() as session:
        admin.register(session, subscriptions)
    with transaction() as session:
        while fan_out(session):
            pass
    with transaction() as session:
        return [
            message for each in subscriptions for message in mark_due_as_sent(session, each.name)
        ]


def failure(text: str = "it broke") -> Failure:
    """Return a failed attempt."""
    return Failure(ValueError(text), "worker@test", clock.now())
