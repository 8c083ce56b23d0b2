"""The timeline service: one line of text per event of an order.

A projection: it can be built again from the log.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, Text, Uuid, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, Envelope, envelopes, insert_if_absent, log, subscribe_batch
from events.admin.erasure import register_stage
from events.admin.free_texts import register_free_text
from events.admin.person import Person
from events.admin.slices import Stage
from events.catalog import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    Line,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderEvent,
    OrderShipped,
    PaymentCharged,
    PaymentFailed,
    PaymentOrphaned,
    PaymentRefunded,
    ReservationExpired,
    ShipmentOrphaned,
    ShipmentRecalled,
)
from events.errors import UnknownEvent
from tasks.money import money_text


class TimelineEntry(Base):
    """The text of one event of an order."""

    __tablename__ = "timeline"
    __table_args__ = (Index("ix_timeline_order", "order_id", "at"),)

    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    order_id: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    type: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)


def _items(lines: Sequence[Line]) -> str:
    return ", ".join(f"{line.quantity} × {line.name}" for line in lines)


# No text contains personal data: the timeline is shown to everyone who has the order's link.
TEXTS: dict[type[OrderEvent], Callable[[Any], str]] = {
    OrderCreated: lambda event: (
        f"Order {event.number} placed: {_items(event.lines)}, {money_text(event.total)}"
    ),
    InventoryReserved: lambda event: f"Reserved: {_items(event.lines)}",
    InventoryReservationFailed: lambda event: (
        f"Not enough of {event.sku} in stock; nothing was reserved"
    ),
    InventoryReleased: lambda event: f"Returned to stock: {_items(event.lines)}",
    PaymentCharged: lambda event: f"Paid: {money_text(event.total)}",
    PaymentFailed: lambda event: f"Payment failed: {event.reason}",
    PaymentOrphaned: lambda event: "A payment arrived after the cancellation; it is refunded",
    PaymentRefunded: lambda event: f"Refunded: {money_text(event.total)}",
    ReservationExpired: lambda event: "Not paid in time; the reservation has expired",
    OrderConfirmed: lambda event: "Order confirmed",
    OrderCancelled: lambda event: f"Order cancelled: {event.reason}",
    OrderShipped: lambda event: f"Shipped with {event.carrier}, tracking number {event.tracking}",
    ShipmentOrphaned: lambda event: "A parcel left after the cancellation; it is recalled",
    ShipmentRecalled: lambda event: f"Parcel {event.tracking} is on its way back",
}


@subscribe_batch(*TEXTS, queue="timeline")
def tell(events: Sequence[OrderEvent], session: Session) -> None:
    """Add the line of each event, once."""
    rows = [
        {
            "event_id": cause.id,
            "order_id": event.order_id,
            "at": cause.time,
            "type": cause.type,
            "text": TEXTS[type(event)](event),
        }
        for cause, event in zip(envelopes(), events, strict=True)
    ]
    insert_if_absent(session, TimelineEntry, *rows)


def entries(session: Session, order_id: str) -> Sequence[TimelineEntry]:
    """Return the order's timeline, oldest first."""
    wanted = select(TimelineEntry).where(TimelineEntry.order_id == order_id)
    return session.scalars(wanted.order_by(TimelineEntry.at, TimelineEntry.event_id)).all()


register_free_text(TimelineEntry.text)


@register_stage("timeline")
def erase_timeline(person: Person) -> Stage:
    """Write the texts again from the events, which are erased before this runs."""
    left = list(person.events)

    def change(session: Session, ids: Sequence[UUID], _: object) -> int:
        del left[: len(ids)]
        count = 0
        for erased in log.read(session, ids):
            entry, text = session.get(TimelineEntry, erased.id), _text(erased)
            if entry and text and text != entry.text:
                entry.text = text
                count += 1
        return count

    return Stage(lambda _, limit: left[:limit], change)


def _text(stored: Envelope) -> str | None:
    try:
        event = stored.event()
    except UnknownEvent:
        return None
    text = TEXTS.get(type(event)) if isinstance(event, OrderEvent) else None
    return text(event) if text else None
