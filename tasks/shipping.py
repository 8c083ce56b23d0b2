"""The shipping service: hands confirmed orders to the carrier and recalls cancelled ones."""

from sqlalchemy import String, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import (
    Base,
    DeadLetter,
    get_or_create_locked,
    insert_if_absent,
    subscribe,
)
from events.catalog import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderShipped,
    ShipmentOrphaned,
    ShipmentRecalled,
)
from events.database import looking
from events.dialects import fetch
from events.orm import table_of, upsert
from events.personal import ERASED
from tasks import gateways
from tasks.gateways.ports import RETRY_POLICY, Parcel


class Shipment(Base):
    """The parcel of an order: `prepared`, `shipped`, `recalled`; `cancelled` if never shipped."""

    __tablename__ = "shipments"

    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    carrier: Mapped[str | None] = mapped_column(String(100))
    tracking: Mapped[str | None] = mapped_column(String(100))


@subscribe(OrderCreated, queue="shipping", batch=100)
def prepare_shipment(event: OrderCreated, session: Session) -> None:
    """Prepare the parcel; the carrier gets it when the order is confirmed."""
    row = {"order_id": event.order_id, "state": "prepared"}
    insert_if_absent(session, Shipment, row, later=True)


_SHIPMENTS = table_of(Shipment).c
_STATE = select(_SHIPMENTS.state).where(_SHIPMENTS.order_id == bindparam("order_id"))
PARCEL_KEY = ":parcel"


def hand_over(event: OrderConfirmed, _: str) -> Parcel | None:
    """Hand the parcel to the carrier. Of a cancelled order, close the key instead.

    An earlier attempt may have handed it over, or may still be in progress. The key is the order's
    and not the delivery's: after a restore the order is confirmed again, by another event.
    """
    key = event.order_id + PARCEL_KEY
    with looking() as connection:
        rows = fetch(connection, _STATE, {"order_id": event.order_id})
    if rows and rows[0].state == "cancelled":
        return gateways.carrier().close(key)
    if event.shipping_address is None:
        raise DeadLetter(
            f"{event.number} has no shipping address: it was placed before orders had one;"
            " ask the customer"
        )
    if event.shipping_address.line1 == ERASED:
        raise DeadLetter(
            f"{event.number} has no shipping address: its customer was erased; cancel it"
        )
    return gateways.carrier().hand_over(key, address=event.shipping_address, lines=event.lines)


@subscribe(
    OrderConfirmed, queue="shipping", call=hand_over, retry=RETRY_POLICY, depends_on="carrier"
)
def dispatch_shipment(
    event: OrderConfirmed, session: Session, parcel: Parcel | None
) -> OrderShipped | None:
    """Record that the carrier has the parcel.

    A parcel that crossed with a cancellation is published, too: `ShipmentOrphaned` then recalls it.
    """
    if parcel is None:
        return None
    row = {"order_id": event.order_id, "state": "shipped"}
    row |= {"carrier": parcel.carrier, "tracking": parcel.tracking}
    upsert(session, Shipment, row, later=True)
    return OrderShipped(order_id=event.order_id, carrier=parcel.carrier, tracking=parcel.tracking)


@subscribe(OrderCancelled, queue="shipping", batch=100)
def cancel_shipment(event: OrderCancelled, session: Session) -> None:
    """Cancel a parcel that is not shipped; `recall` handles one that is."""
    row = get_or_create_locked(session, Shipment, event.order_id, state="prepared")
    if row.state == "prepared":
        row.state = "cancelled"


def request_recall(event: ShipmentOrphaned, key: str) -> None:
    """Have the carrier bring the parcel back."""
    gateways.carrier().recall(key, tracking=event.tracking)


@subscribe(
    ShipmentOrphaned,
    queue="shipping",
    call=request_recall,
    retry=RETRY_POLICY,
    depends_on="carrier",
)
def recall(event: ShipmentOrphaned, session: Session, _: None) -> ShipmentRecalled | None:
    """Record and publish once that the parcel is recalled."""
    row = get_or_create_locked(
        session, Shipment, event.order_id, state="shipped", tracking=event.tracking
    )
    if row.state == "recalled":
        return None
    row.state = "recalled"
    return ShipmentRecalled(order_id=event.order_id, tracking=event.tracking)
