"""The process manager of an order: it hears the services' answers, in whatever order they come, and decides.

Its row is the order's own. `orders.place` wrote it together with `OrderCreated`, so no answer can come before it, and the
customer's cancelling and a service's answer change the same row and so take turns. Each step locks it first. A step is
named by what was heard. An answer that comes after the order was cancelled is compensated.
A compensation undoes another step: a refund, a release of stock, a recalled parcel.
"""

from sqlalchemy.orm import Session

from events import subscribe
from events.catalog import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
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
from tasks import orders
from tasks.orders import Order


@subscribe(OrderCreated, queue="orders", batch=100)
def open_checkout(event: OrderCreated, session: Session) -> None:
    """See to it that the order has its row, also if it came by another door than the web's."""
    orders.ensure_order(session, event)


@subscribe(InventoryReserved, queue="orders", batch=100)
def stock_reserved(event: InventoryReserved, session: Session) -> OrderConfirmed | None:
    """Confirm the order if the money is in as well. For a cancelled order inventory undoes it unasked."""
    order = _turn(session, event)
    if order.stock == "waiting":
        order.stock = "reserved"
    return _confirm_if_complete(session, order)


@subscribe(InventoryReservationFailed, queue="orders", batch=100)
def stock_failed(event: InventoryReservationFailed, session: Session) -> OrderCancelled | None:
    """Cancel the order."""
    order = _turn(session, event)
    order.stock = "failed"
    name = next((line.name for line in order.lines if line.sku == event.sku), event.sku)
    return orders.call_off(session, order.id, f"{name} is out of stock")


@subscribe(PaymentCharged, queue="orders", batch=100)
def payment_charged(
    event: PaymentCharged, session: Session
) -> OrderConfirmed | PaymentOrphaned | None:
    """Confirm the order if its stock is set aside as well; have the money given back if the order is cancelled."""
    order = _turn(session, event)
    if order.payment == "refunded":  # that was heard first
        return None
    order.payment = "charged"
    if order.status == "cancelled":
        return PaymentOrphaned(order_id=order.id, charge_id=event.charge_id)
    return _confirm_if_complete(session, order)


@subscribe(PaymentFailed, queue="orders", batch=100)
def payment_failed(event: PaymentFailed, session: Session) -> OrderCancelled | None:
    """Cancel the order."""
    order = _turn(session, event)
    order.payment = "failed"
    return orders.call_off(session, order.id, f"payment failed: {event.reason}")


@subscribe(OrderShipped, queue="orders", batch=100)
def order_shipped(event: OrderShipped, session: Session) -> ShipmentOrphaned | None:
    """The order has reached its end; have the parcel called back if the order is cancelled."""
    order = _turn(session, event)
    order.shipment = "shipped"
    if order.status == "cancelled":
        return ShipmentOrphaned(order_id=order.id, tracking=event.tracking)
    order.status = "shipped"
    return None


@subscribe(InventoryReleased, queue="orders", batch=100)
def stock_released(event: InventoryReleased, session: Session) -> None:
    """Note that the stock is back."""
    _turn(session, event).stock = "released"


@subscribe(PaymentRefunded, queue="orders", batch=100)
def payment_refunded(event: PaymentRefunded, session: Session) -> None:
    """Note that the money is back."""
    _turn(session, event).payment = "refunded"


@subscribe(ShipmentRecalled, queue="orders", batch=100)
def shipment_recalled(event: ShipmentRecalled, session: Session) -> None:
    """Note that the parcel comes back."""
    _turn(session, event).shipment = "cancelled"


def _turn(session: Session, event: OrderEvent) -> Order:
    """The order, locked: two workers that hear two answers at once take turns."""
    return orders.find(session, event.order_id, locked=True)


def _confirm_if_complete(session: Session, order: Order) -> OrderConfirmed | None:
    if (order.stock, order.payment) != ("reserved", "charged"):
        return None
    return orders.confirm(session, order.id)
