"""The timeline: what happened to an order, one line per event, in words. A projection; it can be made anew from the log."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, Text, Uuid, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, envelope, insert_if_absent, subscribe
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
    ShipmentOrphaned,
    ShipmentRecalled,
)
from tasks.money import money_text


class TimelineEntry(Base):
    """One event about an order, in words."""

    __tablename__ = "timeline"
    __table_args__ = (Index("ix_timeline_order", "order_id", "at"),)

    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    order_id: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    type: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)


def _pieces(lines: Sequence[Line]) -> str:
    return ", ".join(f"{line.quantity} × {line.name}" for line in lines)


# No text names the customer: the timeline is shown to whoever holds the order's link.
TEXTS: dict[type[OrderEvent], Callable[[Any], str]] = {
    OrderCreated: lambda event: (
        f"Order {event.number} placed: {_pieces(event.lines)}, {money_text(event.total)}"
    ),
    InventoryReserved: lambda event: f"Set aside: {_pieces(event.lines)}",
    InventoryReservationFailed: lambda event: (
        f"Not enough of {event.sku} in stock; nothing was set aside"
    ),
    InventoryReleased: lambda event: f"Back on the shelf: {_pieces(event.lines)}",
    PaymentCharged: lambda event: f"Paid: {money_text(event.total)}",
    PaymentFailed: lambda event: f"Payment failed: {event.reason}",
    PaymentOrphaned: lambda event: "A payment came in after the order was cancelled; it goes back",
    PaymentRefunded: lambda event: f"Refunded: {money_text(event.total)}",
    OrderConfirmed: lambda event: "Order confirmed",
    OrderCancelled: lambda event: f"Order cancelled: {event.reason}",
    OrderShipped: lambda event: f"Shipped with {event.carrier}, tracking number {event.tracking}",
    ShipmentOrphaned: lambda event: (
        "A parcel left after the order was cancelled; it is called back"
    ),
    ShipmentRecalled: lambda event: f"Parcel {event.tracking} comes back",
}


@subscribe(*TEXTS, queue="timeline", batch=100)
def tell(event: OrderEvent, session: Session) -> None:
    """Add the event's line, once."""
    cause = envelope()
    row = {
        "event_id": cause.id,
        "order_id": event.order_id,
        "at": cause.time,
        "type": cause.type,
        "text": TEXTS[type(event)](event),
    }
    insert_if_absent(session, TimelineEntry, row)


def entries(session: Session, order_id: str) -> Sequence[TimelineEntry]:
    """The order's timeline, oldest first."""
    wanted = select(TimelineEntry).where(TimelineEntry.order_id == order_id)
    return session.scalars(wanted.order_by(TimelineEntry.at, TimelineEntry.event_id)).all()
