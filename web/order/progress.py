"""The progress of one order for its page: pills, steps and timeline, from its row and its trace."""

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
from web.filters import time_of_day
from web.order.timeline import Item, items
from web.order.trace import INTERNAL_QUEUES, Trace


@dataclass(frozen=True)
class Pill:
    """A label for the state of the order, in the colour of its tone."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Step:
    """One of the five steps of an order; a retrying one is due again at `due_at`."""

    label: str
    tone: str
    note: str = ""
    due_at: datetime | None = None


@dataclass(frozen=True)
class Status:
    """The state in the order's row."""

    status: str
    payment: str
    reason: str | None
    has_unrelayed_events: bool = False


@dataclass(frozen=True)
class OrderProgress:
    """Everything on the page that changes while the order is processed."""

    pills: list[Pill]
    steps: list[Step]
    items: list[Item]
    dead: list[TracedDelivery]
    final: bool
    cancellable: bool
    paid: bool
    cancellation: str
    headline: str


def build(
    status: Status, trace: Trace, texts: dict[UUID, str], mails: Sequence[Mail] = ()
) -> OrderProgress:
    """Build the progress from the row, the trace, the description of each event, and the mails."""
    steps = list(_steps(status, trace))
    done = [step.label.lower() for step in steps if step.tone == "done"]
    pills = [*_status_pills(status), *_delivery_pills(trace)]
    cancelled = status.status == "cancelled" and status.reason
    return OrderProgress(
        pills=pills,
        steps=steps,
        items=items(trace, texts, mails),
        dead=[delivery for delivery in trace.deliveries if delivery.state == "dead"],
        final=_final(status, trace),
        cancellable=status.status in ("placed", "confirmed"),
        paid=status.payment == "charged",
        cancellation=f"Cancelled: {status.reason}" if cancelled else "",
        headline=f"{', '.join(pill.text for pill in pills)}. "
        f"Done: {', '.join(done) or 'nothing yet'}.",
    )


def _final(status: Status, trace: Trace) -> bool:
    terminal = status.status in ("shipped", "cancelled") and not status.has_unrelayed_events
    return terminal and not any(delivery.state in OPEN for delivery in trace.deliveries)


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
QUEUE_LABELS = {
    "inventory": "Stock",
    "payment": "Payment",
    "shipping": "Shipment",
    "email": "Mail",
    "orders": "Decision",
}


def _status_pills(status: Status) -> Iterator[Pill]:
    yield Pill(*STATUS[status.status])
    if status.payment in PAYMENT:
        yield Pill(*PAYMENT[status.payment])


def _delivery_pills(trace: Trace) -> Iterator[Pill]:
    for queue in dict.fromkeys(delivery.queue for delivery in trace.deliveries):
        worst = trace.worst_delivery(queue)
        if worst and queue not in INTERNAL_QUEUES:
            label = QUEUE_LABELS.get(queue, queue.replace("_", " ").capitalize())
            yield (
                Pill(f"{label} stuck", "bad")
                if worst.state == "dead"
                else Pill(f"{label} retrying", "wait")
            )


@dataclass(frozen=True)
class Stage:
    """A step that an event completes, another one fails, and a third one reverses."""

    label: str
    queue: str
    completed_by: type[Event]
    failed_by: type[Event] | None = None
    failure: str = ""
    reversed_by: type[Event] | None = None
    reversal: str = ""


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
    yield Step("Placed", "done", time_of_day(trace.started_at, "milliseconds"))
    yield _step(RESERVED, trace)
    yield _step(PAID, trace)
    if status.status == "cancelled":
        cancelled = trace.first(OrderCancelled)
        yield Step("Cancelled", "bad", trace.offset(cancelled) if cancelled else "")
        yield Step("Shipped", "todo", "will not be shipped")
        return
    yield _step(CONFIRMED, trace)
    yield _step(SHIPPED, trace)


def _step(stage: Stage, trace: Trace) -> Step:
    if completed := trace.first(stage.completed_by):
        undone = trace.first(stage.reversed_by) if stage.reversed_by else None
        reversal = f", {stage.reversal} {trace.offset(undone)}" if undone else ""
        return Step(stage.label, "done", trace.offset(completed) + reversal)
    if stage.failed_by and (failed := trace.first(stage.failed_by)):
        return Step(stage.label, "bad", f"{stage.failure} {trace.offset(failed)}")
    return _open_step(stage, trace)


def _open_step(stage: Stage, trace: Trace) -> Step:
    worst = trace.worst_delivery(stage.queue)
    if worst is None:
        return Step(stage.label, "todo")
    if worst.state == "dead":
        plural = "attempt" if worst.attempts == 1 else "attempts"
        return Step(stage.label, "bad", f"gave up after {worst.attempts} {plural}")
    limit = f" of {worst.max_attempts}" if worst.max_attempts else ""
    note = f"attempt {worst.attempts + 1}{limit}, next"
    return Step(stage.label, "wait", note, worst.due_at)
