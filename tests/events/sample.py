"""What the bus's tests handle: a few events, a table of effects, handlers made on the spot."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, Event, Retry, Subscription, clock, publish, reading, transaction
from events.admin import subscriptions as admin
from events.ledger import Failure
from events.messages import Message
from events.relay.fanout import fan_out
from events.relay.sending import mark_due_as_sent
from events.tables import Attempt, Delivery

SECRET = "ada@example.org"  # personal data that must not turn up where it does not belong


class Noted(Event, type="sample.noted", source="sample"):
    """Something was noted."""

    text: str = ""


class Heard(Event, type="sample.heard", source="sample"):
    """A note was heard."""

    text: str = ""


class Mark(Base):
    """An effect: a row for each time a handler ran and was committed."""

    __tablename__ = "sample_marks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    what: Mapped[str]


PATIENT = Retry(attempts=3, first=10.0, cap=40.0)


def mark(event: Any, session: Session) -> None:
    """Leave a mark."""
    session.add(Mark(what=event.text))


def hearing(
    handler: Callable[..., Any] = mark,
    *types: type[Event],
    name: str = "notes.mark",
    batch: int = 1,
    retry: Retry = PATIENT,
    call: Callable[..., Any] | None = None,
) -> Subscription:
    """A subscription that this process's registry does not know."""
    return Subscription(
        name, name.partition(".")[0], types or (Noted,), handler, call, retry, batch
    )


def marks() -> Counter[str]:
    """How often each effect happened."""
    with reading() as session:
        return Counter(session.scalars(select(Mark.what)))


def delivery(subscription: str = "notes.mark") -> Delivery:
    """The only delivery of a subscription."""
    [row] = deliveries(subscription)
    return row


def deliveries(subscription: str = "notes.mark") -> list[Delivery]:
    """All deliveries of a subscription, the oldest event first."""
    with reading() as session:
        return list(
            session.scalars(
                select(Delivery)
                .where(Delivery.subscription == subscription)
                .order_by(Delivery.event_id)
            )
        )


def tries() -> list[Attempt]:
    """Every failed try, in order."""
    with reading() as session:
        return list(session.scalars(select(Attempt).order_by(Attempt.id)))


def note(*texts: str, subject: str | None = "N-1") -> list[UUID]:
    """Publish a note of each text."""
    with transaction() as session:
        return publish(session, *[Noted(text=text) for text in texts], subject=subject)


def send(*subscriptions: Subscription) -> list[Message]:
    """Register these subscriptions, fan everything out, and take the messages that are due."""
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
    """A failed try."""
    return Failure(ValueError(text), "worker@test", clock.now())
