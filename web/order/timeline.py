"""The timeline of an order's page: each event with who hears it, and each failed try, newest first."""

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
    OrderCreated,
    PaymentFailed,
)
from events.event import catalog
from events.tables import Attempt
from tasks.email import Mail
from web.order.trace import BEHIND_THE_SCENES, Trace

TONES = {"done": "done", "retrying": "wait", "dead": "bad"}
BAD_NEWS = {
    each.type for each in (InventoryReservationFailed, PaymentFailed, OrderCancelled, DeliveryDead)
}


@dataclass(frozen=True)
class Heard:
    """A service that hears an event, and how far it is."""

    queue: str
    tone: str
    note: str


@dataclass(frozen=True)
class Happened:
    """An event on the timeline."""

    id: UUID
    at: datetime
    tone: str
    name: str
    version: int
    source: str
    heard: list[Heard]
    texts: list[str]
    cause: str
    actor: str
    trace: str
    of_the_bus: bool
    kind: str = "event"


@dataclass(frozen=True)
class Failed:
    """A failed try on the timeline."""

    id: int
    at: datetime
    tone: str
    queue: str
    subscription: str
    delivery: str
    what: str
    error: str
    kind_of_error: str
    number: int
    of: int
    dead: bool
    until: datetime | None
    then: str
    flower: str
    kind: str = "try"


@dataclass(frozen=True)
class Mailed:
    """A mail on the timeline: what it told of the order, such as `confirmed`."""

    at: datetime
    about: str
    kind: str = "mail"


Item = Happened | Failed | Mailed


def items(trace: Trace, texts: dict[UUID, str], mails: Sequence[Mail]) -> list[Item]:
    """Everything that happened, newest first; `texts` says of an event in words what it means."""
    mailed = [Mailed(mail.sent_at, mail.kind) for mail in mails]
    return sorted(
        [*_happened(trace, texts), *_failed(trace), *mailed], key=lambda item: item.at, reverse=True
    )


def _happened(trace: Trace, texts: dict[UUID, str]) -> Iterator[Happened]:
    names = {each.type: each.__name__ for each in catalog()}
    by_id = {event.envelope.id: event.envelope for event in trace.events}
    for event in trace.events:
        envelope = event.envelope
        cause = by_id.get(envelope.causation_id) if envelope.causation_id else None
        yield Happened(
            id=envelope.id,
            at=envelope.time,
            tone=_tone(envelope),
            name=names.get(envelope.type, envelope.type),
            version=envelope.version,
            source=envelope.source,
            heard=[
                _heard(each) for each in event.deliveries if each.queue not in BEHIND_THE_SCENES
            ],
            texts=[texts[envelope.id]] if envelope.id in texts else [],
            cause=names.get(cause.type, cause.type) if cause else "",
            actor=_actor(envelope) if cause is None else "",
            trace=envelope.traceparent.split("-")[1] if envelope.traceparent else "",
            of_the_bus=envelope.type == DeliveryDead.type,
        )


def _tone(envelope: Envelope) -> str:
    if envelope.type == OrderCreated.type:
        return "busy"
    return "bad" if envelope.type in BAD_NEWS else "done"


def _actor(envelope: Envelope) -> str:
    actor = envelope.actor
    words = [
        f"user {actor.user or 'guest'}",
        f"tenant {actor.tenant}" if actor.tenant else "",
        f"from {actor.ip}" if actor.ip else "",
    ]
    return " · ".join(word for word in words if word)


def _heard(delivery: TracedDelivery) -> Heard:
    return Heard(delivery.queue, TONES.get(delivery.state, ""), _so_far(delivery))


def _so_far(delivery: TracedDelivery) -> str:
    if delivery.state == "done":
        return f"{_ordinal(delivery.attempts + 1)} try" if delivery.attempts else ""
    if delivery.state == "dead":
        return "gave up"
    return {"pending": "waiting", "retrying": "trying again"}.get(delivery.state, delivery.state)


def _failed(trace: Trace) -> Iterator[Failed]:
    for delivery in trace.deliveries:
        if delivery.queue not in BEHIND_THE_SCENES:
            for attempt in delivery.failed_attempts:
                yield _try(delivery, attempt, latest=attempt is delivery.failed_attempts[-1])


def _try(delivery: TracedDelivery, attempt: Attempt, *, latest: bool) -> Failed:
    dead = latest and delivery.state == "dead"
    return Failed(
        id=attempt.id,
        at=attempt.started_at + timedelta(seconds=attempt.took),
        tone="bad" if dead else "wait",
        queue=delivery.queue,
        subscription=delivery.subscription,
        delivery=delivery.id,
        what=delivery.subscription.partition(".")[2].replace("_", " "),
        error=f"{attempt.error_type}: {attempt.message}".partition("\n")[0][:300],
        kind_of_error=attempt.error_type,
        number=attempt.number,
        of=delivery.max_attempts,
        dead=dead,
        until=delivery.due_at if latest and delivery.state == "retrying" else None,
        then="then it went well" if latest and delivery.state == "done" else "",
        flower=f"{delivery.id}:{attempt.send}",
    )


def _ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
