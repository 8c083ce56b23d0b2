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
from web.order import headline
from web.order.headline import Headline
from web.order.status import Pill, Status
from web.order.timeline import Item, items
from web.order.trace import INTERNAL_QUEUES, Trace


@dataclass(frozen=True)
class Step:
    """One of the five steps of an order; a retrying one is due again at `due_at`.

    `at` is the time of a completed step. Customers read `plain_label` and `plain_note`.
    """

    label: str
    tone: str
    note: str = ""
    due_at: datetime | None = None
    at: datetime | None = None
    plain_label: str = ""
    plain_note: str = ""


@dataclass(frozen=True)
class OrderProgress:
    """Everything on the page that changes while the order is processed."""

    for_customer: Headline
    for_operator: Headline
    steps: list[Step]
    items: list[Item]
    dead: list[TracedDelivery]
    final: bool
    cancellable: bool
    paid: bool
    reserved_until: datetime | None


def build(
    status: Status, trace: Trace, texts: dict[UUID, str], mails: Sequence[Mail] = ()
) -> OrderProgress:
    """Build the progress from the row, the trace, the description of each event, and the mails."""
    pills = [*_status_pills(status), *_delivery_pills(trace)]
    cancelled = status.status == "cancelled" and status.reason
    cancellation = f"Cancelled: {status.reason}" if cancelled else ""
    return OrderProgress(
        for_customer=headline.for_customer(status, trace, cancellation),
        for_operator=headline.for_operator(status.number, pills, cancellation),
        steps=list(_steps(status, trace)),
        items=items(trace, texts, mails),
        dead=[delivery for delivery in trace.deliveries if delivery.state == "dead"],
        final=_final(status, trace),
        cancellable=status.status in ("placed", "confirmed"),
        paid=status.payment == "charged",
        reserved_until=status.reserved_until,
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
    plain_label: str
    queue: str
    completed_by: type[Event]
    failed_by: type[Event] | None = None
    failure: str = ""
    reversed_by: type[Event] | None = None
    reversal: str = ""


RESERVED = Stage(
    "Stock reserved",
    "Items set aside",
    "inventory",
    InventoryReserved,
    InventoryReservationFailed,
    "sold out",
    InventoryReleased,
    "given back",
)
PAID = Stage(
    "Paid",
    "Paid",
    "payment",
    PaymentCharged,
    PaymentFailed,
    "declined",
    PaymentRefunded,
    "refunded",
)
CONFIRMED = Stage("Confirmed", "Confirmed", "orders", OrderConfirmed)
SHIPPED = Stage("Shipped", "On its way", "shipping", OrderShipped)


def _steps(status: Status, trace: Trace) -> Iterator[Step]:
    yield Step("Placed", "done", at=trace.started_at, plain_label="Placed")
    yield _step(RESERVED, trace)
    yield _step(PAID, trace)
    if status.status == "cancelled":
        event = trace.first(OrderCancelled)
        offset, at = (trace.offset(event), event.time) if event else ("", None)
        yield Step("Cancelled", "bad", offset, at=at, plain_label="Cancelled")
        yield Step("Shipped", "todo", "will not be shipped", plain_label=SHIPPED.plain_label)
        return
    yield _step(CONFIRMED, trace)
    yield _step(SHIPPED, trace)


def _step(stage: Stage, trace: Trace) -> Step:
    plain = stage.plain_label
    if completed := trace.first(stage.completed_by):
        undone = trace.first(stage.reversed_by) if stage.reversed_by else None
        offset = trace.offset(completed)
        if undone is None:
            return Step(stage.label, "done", offset, at=completed.time, plain_label=plain)
        note = f"{offset}, {stage.reversal} {trace.offset(undone)}"
        return Step(
            stage.label, "done", note, at=undone.time, plain_label=plain, plain_note=stage.reversal
        )
    if stage.failed_by and (failed := trace.first(stage.failed_by)):
        note = f"{stage.failure} {trace.offset(failed)}"
        return Step(
            stage.label, "bad", note, at=failed.time, plain_label=plain, plain_note=stage.failure
        )
    return _open_step(stage, trace)


def _open_step(stage: Stage, trace: Trace) -> Step:
    worst, plain = trace.worst_delivery(stage.queue), stage.plain_label
    if worst is None:
        return Step(stage.label, "todo", plain_label=plain)
    if worst.state == "dead":
        note = f"gave up after {worst.attempts} {'attempt' if worst.attempts == 1 else 'attempts'}"
        return Step(
            stage.label, "bad", note, plain_label=plain, plain_note="we are looking into it"
        )
    limit = f" of {worst.max_attempts}" if worst.max_attempts else ""
    note = f"attempt {worst.attempts + 1}{limit}, next"
    return Step(
        stage.label, "wait", note, worst.due_at, plain_label=plain, plain_note="we try again"
    )
