"""The story of one order as its page tells it: pills, steps and a timeline, made from its row and its events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from events import Event
from events.admin.trace import TracedDelivery
from events.catalog import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    OrderCancelled,
    OrderConfirmed,
    OrderShipped,
    PaymentCharged,
    PaymentFailed,
    PaymentRefunded,
)
from events.ledger import OPEN
from tasks.email import Mail
from web.filters import clock
from web.order.timeline import Item, items
from web.order.trace import BEHIND_THE_SCENES, Trace


@dataclass(frozen=True)
class Pill:
    """A word about the order's state, and how good the news is."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Step:
    """One of the five steps of an order."""

    label: str
    tone: str
    note: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class Status:
    """What the order's row says, and whether an event of it has not reached the services yet."""

    status: str
    payment: str
    reason: str | None
    untold: bool = False


@dataclass(frozen=True)
class Story:
    """Everything about an order that changes while it is under way."""

    pills: list[Pill]
    steps: list[Step]
    items: list[Item]
    dead: list[TracedDelivery]
    final: bool
    cancellable: bool
    paid: bool
    because: str
    headline: str


def tell(status: Status, trace: Trace, texts: dict[UUID, str], mails: Sequence[Mail] = ()) -> Story:
    """Tell an order's story from its row, the trace of its events, what the timeline says of each, and its mails."""
    steps = list(_steps(status, trace))
    done = [step.label.lower() for step in steps if step.tone == "done"]
    pills = [*_pills(status), *_troubles(trace)]
    return Story(
        pills=pills,
        steps=steps,
        items=items(trace, texts, mails),
        dead=[each for each in trace.deliveries if each.state == "dead"],
        final=_final(status, trace),
        cancellable=status.status in ("placed", "confirmed"),
        paid=status.payment == "charged",
        because=f"Cancelled: {status.reason}"
        if status.status == "cancelled" and status.reason
        else "",
        headline=f"{', '.join(pill.text for pill in pills)}. Done: {', '.join(done) or 'nothing yet'}.",
    )


def _final(status: Status, trace: Trace) -> bool:
    ended = status.status in ("shipped", "cancelled") and not status.untold
    return ended and not any(each.state in OPEN for each in trace.deliveries)


STATUS = {
    "placed": ("Processing", "busy"),
    "confirmed": ("Confirmed", "done"),
    "shipped": ("Shipped", "done"),
    "cancelled": ("Cancelled", "bad"),
}
PAYMENT = {
    "charged": ("Paid", "done"),
    "failed": ("Payment declined", "bad"),
    "refunded": ("Refunded", "busy"),
}
NOUNS = {
    "inventory": "Stock",
    "payment": "Payment",
    "shipping": "Shipment",
    "email": "Mail",
    "orders": "Decision",
}


def _pills(status: Status) -> Iterator[Pill]:
    yield Pill(*STATUS[status.status])
    if status.payment in PAYMENT:
        yield Pill(*PAYMENT[status.payment])


def _troubles(trace: Trace) -> Iterator[Pill]:
    for queue in dict.fromkeys(each.queue for each in trace.deliveries):
        hurt = trace.hurt(queue)
        if hurt and queue not in BEHIND_THE_SCENES:
            noun = NOUNS.get(queue, queue.replace("_", " ").capitalize())
            yield (
                Pill(f"{noun} stuck", "bad")
                if hurt.state == "dead"
                else Pill(f"{noun} retrying", "wait")
            )


@dataclass(frozen=True)
class Stage:
    """What a step waits for: the event that ends it well, the one that ends it badly, the one that takes it back."""

    label: str
    queue: str
    yes: type[Event]
    no: type[Event] | None = None
    refused: str = ""
    undone: type[Event] | None = None
    undid: str = ""


RESERVED = Stage(
    "Stock reserved",
    "inventory",
    InventoryReserved,
    InventoryReservationFailed,
    "sold out",
    InventoryReleased,
    "given back",
)
PAID = Stage(
    "Paid", "payment", PaymentCharged, PaymentFailed, "declined", PaymentRefunded, "refunded"
)
CONFIRMED = Stage("Confirmed", "orders", OrderConfirmed)
SHIPPED = Stage("Shipped", "shipping", OrderShipped)


def _steps(status: Status, trace: Trace) -> Iterator[Step]:
    yield Step("Placed", "done", clock(trace.began))
    yield _step(RESERVED, trace)
    yield _step(PAID, trace)
    if status.status == "cancelled":
        cancelled = trace.first(OrderCancelled)
        yield Step("Cancelled", "bad", trace.after(cancelled) if cancelled else "")
        yield Step("Shipped", "todo", "not any more")
        return
    yield _step(CONFIRMED, trace)
    yield _step(SHIPPED, trace)


def _step(stage: Stage, trace: Trace) -> Step:
    if happened := trace.first(stage.yes):
        back = trace.first(stage.undone) if stage.undone else None
        return Step(
            stage.label,
            "done",
            trace.after(happened) + (f", {stage.undid} {trace.after(back)}" if back else ""),
        )
    if stage.no and (refused := trace.first(stage.no)):
        return Step(stage.label, "bad", f"{stage.refused} {trace.after(refused)}")
    return _unfinished(stage, trace)


def _unfinished(stage: Stage, trace: Trace) -> Step:
    hurt = trace.hurt(stage.queue)
    if hurt is None:
        return Step(stage.label, "todo")
    if hurt.state == "dead":
        return Step(
            stage.label,
            "bad",
            f"gave up after {hurt.attempts} {'attempt' if hurt.attempts == 1 else 'attempts'}",
        )
    return Step(
        stage.label,
        "wait",
        f"attempt {hurt.attempts + 1} of {hurt.max_attempts}, next",
        hurt.due_at,
    )
