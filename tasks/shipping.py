"""The shipping service: hands a confirmed order to the carrier, and has it brought back when it was cancelled after all."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, DeadLetter, get_or_create_locked, reading, subscribe
from events.catalog import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderShipped,
    ShipmentOrphaned,
    ShipmentRecalled,
)
from events.personal import ERASED
from tasks import gateways
from tasks.gateways.ports import PATIENCE, Parcel


class Shipment(Base):
    """An order's parcel: `prepared`, then `shipped`, and `recalled`; or `cancelled` before the carrier had it."""

    __tablename__ = "shipments"

    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    carrier: Mapped[str | None] = mapped_column(String(100))
    tracking: Mapped[str | None] = mapped_column(String(100))


@subscribe(OrderCreated, queue="shipping", batch=100)
def prepare_shipment(event: OrderCreated, session: Session) -> None:
    """Have a parcel ready for when the order is confirmed."""
    get_or_create_locked(session, Shipment, event.order_id, state="prepared")


def hand_over(event: OrderConfirmed, key: str) -> Parcel | None:
    """Give the parcel to the carrier. For a cancelled order, close the key: an earlier try may have given, or be about to give."""
    with reading() as session:
        known = session.get(Shipment, event.order_id)
    if known and known.state == "cancelled":
        return gateways.carrier().close(key)
    if event.shipping_address is None:
        raise DeadLetter(
            f"{event.number} has no shipping address: it was placed before orders had one; ask the customer"
        )
    if event.shipping_address.line1 == ERASED:
        raise DeadLetter(
            f"{event.number} has no shipping address any more: its customer was erased; cancel it"
        )
    return gateways.carrier().hand_over(key, address=event.shipping_address, lines=event.lines)


@subscribe(OrderConfirmed, queue="shipping", call=hand_over, retry=PATIENCE)
def dispatch_shipment(
    event: OrderConfirmed, session: Session, parcel: Parcel | None
) -> OrderShipped | None:
    """Record that the carrier has the parcel. If that crossed with a cancellation it is told too, and so comes back."""
    if parcel is None:
        return None
    row = get_or_create_locked(session, Shipment, event.order_id, state="prepared")
    row.state, row.carrier, row.tracking = "shipped", parcel.carrier, parcel.tracking
    return OrderShipped(order_id=event.order_id, carrier=parcel.carrier, tracking=parcel.tracking)


@subscribe(OrderCancelled, queue="shipping", batch=100)
def cancel_shipment(event: OrderCancelled, session: Session) -> None:
    """Keep the parcel here. One that the carrier has is called back by `recall`."""
    row = get_or_create_locked(session, Shipment, event.order_id, state="prepared")
    if row.state == "prepared":
        row.state = "cancelled"


def call_back(event: ShipmentOrphaned, key: str) -> None:
    """Ask the carrier to bring the parcel back."""
    gateways.carrier().call_back(key, tracking=event.tracking)


@subscribe(ShipmentOrphaned, queue="shipping", call=call_back, retry=PATIENCE)
def recall(event: ShipmentOrphaned, session: Session, _: None) -> ShipmentRecalled | None:
    """Record that the parcel comes back, once."""
    row = get_or_create_locked(
        session, Shipment, event.order_id, state="shipped", tracking=event.tracking
    )
    if row.state == "recalled":
        return None
    row.state = "recalled"
    return ShipmentRecalled(order_id=event.order_id, tracking=event.tracking)
