"""The timeline of an order's page: events with their recipients, failed attempts and mails."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from events import Envelope
from events.admin.trace import TracedDelivery
from events.catalog import (
    DeliveryDead,
    InventoryReservationFailed,
    OrderCancelled,
    PaymentFailed,
)
from events.event import catalog
from events.replays.history import replay_of
from events.tables import Attempt
from tasks.email import Mail
from web.order.trace import INTERNAL_QUEUES, Trace

TONES = {"done": "done", "retrying": "wait", "dead": "bad"}
NOTES = {"pending": "waiting", "retrying": "retrying", "dead": "gave up"}
PLAIN_TROUBLE = {
    "payment": "The bank did not answer",
    "shipping": "The carrier did not answer",
    "email": "A mail could not be sent",
}
FAILURES = {
    each.type for each in (InventoryReservationFailed, PaymentFailed, OrderCancelled, DeliveryDead)
}


@dataclass(frozen=True)
class Recipient:
    """A service that an event is delivered to, with the state of that delivery."""

    queue: str
    tone: str
    note: str
    replay: int | None  # the latest one that gave the delivery back


@dataclass(frozen=True)
class EventItem:
    """An event on the timeline."""

    event_id: UUID
    at: datetime
    tone: str
    name: str
    version: int
    source: str
    recipients: list[Recipient]
    text: str
    cause: str
    actor: str
    trace_id: str
    internal: bool
    kind: str = "event"


@dataclass(frozen=True)
class AttemptItem:
    """A failed attempt on the timeline."""

    attempt_id: int
    at: datetime
    tone: str
    queue: str
    delivery_id: str
    action: str
    error_type: str
    error: str
    number: int
    max_attempts: int | None
    dead: bool
    next_attempt_at: datetime | None
    outcome: str
    flower_task_id: str
    replay: int | None
    kind: str = "attempt"

    @property
    def plain_text(self) -> str:
        """The failure in the words of a customer, who is not shown the error."""
        trouble = PLAIN_TROUBLE.get(self.queue, "A step took longer than usual")
        if self.dead:
            return f"{trouble}. We are looking into it."
        return f"{trouble}. {'We try again.' if self.next_attempt_at else 'We tried again.'}"


@dataclass(frozen=True)
class MailItem:
    """A mail on the timeline, with the state of the order that it reported, such as `confirmed`."""

    at: datetime
    status: str
    kind: str = "mail"


Item = EventItem | AttemptItem | MailItem


def items(trace: Trace, texts: dict[UUID, str], mails: Sequence[Mail]) -> list[Item]:
    """Build the timeline, newest first, with the description of each event from `texts`."""
    unsorted: list[Item] = [
        *_event_items(trace, texts),
        *_attempt_items(trace),
        *(MailItem(mail.sent_at, mail.kind) for mail in mails),
    ]
    return sorted(unsorted, key=lambda item: item.at, reverse=True)


def _event_items(trace: Trace, texts: dict[UUID, str]) -> Iterator[EventItem]:
    names = {event_class.type: event_class.__name__ for event_class in catalog()}
    by_id = {event.envelope.id: event.envelope for event in trace.events}
    for event in trace.events:
        envelope = event.envelope
        cause = by_id.get(envelope.causation_id) if envelope.causation_id else None
        yield EventItem(
            event_id=envelope.id,
            at=envelope.time,
            tone="bad" if envelope.type in FAILURES else "done",
            name=names.get(envelope.type, envelope.type),
            version=envelope.version,
            source=envelope.source,
            recipients=_recipients(event.deliveries),
            text=texts.get(envelope.id, ""),
            cause=names.get(cause.type, cause.type) if cause else "",
            actor=_actor(envelope) if cause is None else "",
            trace_id=envelope.traceparent.split("-")[1] if envelope.traceparent else "",
            internal=envelope.type == DeliveryDead.type,
        )


def _actor(envelope: Envelope) -> str:
    actor = envelope.actor
    parts = [
        f"user {actor.user or 'guest'}",
        f"tenant {actor.tenant}" if actor.tenant else "",
        f"from {actor.ip}" if actor.ip else "",
    ]
    return " · ".join(part for part in parts if part)


def _recipients(deliveries: Sequence[TracedDelivery]) -> list[Recipient]:
    return [
        Recipient(
            delivery.queue,
            TONES.get(delivery.state, ""),
            _note(delivery),
            delivery.replays[-1].replay_id if delivery.replays else None,
        )
        for delivery in deliveries
        if delivery.queue not in INTERNAL_QUEUES
    ]


def _note(delivery: TracedDelivery) -> str:
    if delivery.state == "done":
        return f"{delivery.attempts + 1} attempts" if delivery.attempts else ""
    return NOTES.get(delivery.state, delivery.state)


def _attempt_items(trace: Trace) -> Iterator[AttemptItem]:
    for delivery in trace.deliveries:
        if delivery.queue not in INTERNAL_QUEUES:
            for attempt in delivery.failed_attempts:
                yield _attempt_item(
                    delivery, attempt, latest=attempt is delivery.failed_attempts[-1]
                )


def _attempt_item(delivery: TracedDelivery, attempt: Attempt, *, latest: bool) -> AttemptItem:
    dead = latest and delivery.state == "dead"
    return AttemptItem(
        attempt_id=attempt.id,
        at=attempt.started_at + timedelta(seconds=attempt.took),
        tone="bad" if dead else "wait",
        queue=delivery.queue,
        delivery_id=delivery.id,
        action=delivery.subscription.partition(".")[2].replace("_", " "),
        error_type=attempt.error_type,
        error=f"{attempt.error_type}: {attempt.message}".partition("\n")[0][:300],
        number=attempt.number,
        max_attempts=delivery.max_attempts,
        dead=dead,
        next_attempt_at=delivery.due_at if latest and delivery.state == "retrying" else None,
        outcome="the next attempt succeeded" if latest and delivery.state == "done" else "",
        flower_task_id=attempt.task_id or f"{delivery.id}:{attempt.send}",
        replay=replay_of(attempt.send, delivery.replays),
    )
