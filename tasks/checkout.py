"""The process manager of orders: it collects the services' answers, in any order, and decides.

Its state is the order's own row. `placing.place` inserts the row together with `OrderCreated`, so
no answer precedes it. Each step locks the row first, so that it never runs at the same time as
another step or a cancellation by the customer. A step is named after its event. An answer to a
cancelled order is compensated. A compensation undoes another step: a refund, a release of stock, a
recalled parcel.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from events import clock, insert_if_absent, subscribe, subscribe_batch
from events.catalog import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderShipped,
    PaymentCharged,
    PaymentFailed,
    PaymentOrphaned,
    PaymentRefunded,
    ReservationExpired,
    ShipmentOrphaned,
    ShipmentRecalled,
)
from events.dialects import fetch
from events.orm import table_of
from tasks import orders, reservation_deadline
from tasks.durations import duration_text
from tasks.errors import UnknownOrder
from tasks.orders import Order


@subscribe_batch(OrderCreated, queue="orders")
def open_checkout(events: Sequence[OrderCreated], session: Session) -> None:
    """Insert the rows of orders that `placing.place` did not write, such as imported ones."""
    known, now = orders.tokens_of(session, [event.order_id for event in events]), clock.now()
    rows = [
        {
            "id": event.order_id,
            "number": event.number,
            "token": secrets.token_urlsafe(24),
            "customer": event.customer,
            "email": event.email,
            "address": event.shipping_address,
            "lines": event.lines,
            "total_amount": event.total.amount,
            "currency": event.total.currency,
            "created_at": now,
            "updated_at": now,
        }
        for event in events
        if event.order_id not in known
    ]
    insert_if_absent(session, Order, *rows)


@subscribe(InventoryReserved, queue="orders", batch=100)
def stock_reserved(event: InventoryReserved, session: Session) -> OrderConfirmed | None:
    """Confirm the order if it is paid. Inventory itself releases a cancelled order's stock."""
    order = _locked(session, event.order_id)
    stock = order.stock
    if stock == "waiting":
        stock = "reserved"
        _change(session, order.id, stock=stock)
        if order.status == "placed" and order.payment == "waiting":
            reservation_deadline.start(session, order.id, order.number)
    return _confirm_if_complete(session, order.id, stock, order.payment)


@subscribe(InventoryReservationFailed, queue="orders", batch=100)
def stock_failed(event: InventoryReservationFailed, session: Session) -> OrderCancelled | None:
    """Cancel the order: a product is out of stock."""
    _locked(session, event.order_id)
    _change(session, event.order_id, stock="failed")
    order = orders.find(session, event.order_id)
    name = next((line.name for line in order.lines if line.sku == event.sku), event.sku)
    return orders.cancel_if_open(session, order.id, f"{name} is out of stock")


@subscribe(PaymentCharged, queue="orders", batch=100)
def payment_charged(
    event: PaymentCharged, session: Session
) -> OrderConfirmed | PaymentOrphaned | None:
    """Confirm the order if its stock is reserved; have a cancelled order refunded."""
    order = _locked(session, event.order_id)
    if order.payment == "refunded":  # PaymentRefunded was handled first
        return None
    _change(session, order.id, payment="charged")
    if order.stock == "reserved":
        reservation_deadline.stop(session, order.id)
    if order.status == "cancelled":
        return PaymentOrphaned(order_id=order.id, charge_id=event.charge_id)
    return _confirm_if_complete(session, order.id, order.stock, "charged")


@subscribe(PaymentFailed, queue="orders", batch=100)
def payment_failed(event: PaymentFailed, session: Session) -> OrderCancelled | None:
    """Cancel the order: the payment failed."""
    order = _locked(session, event.order_id)
    _change(session, order.id, payment="failed")
    return orders.cancel_if_open(session, order.id, f"payment failed: {event.reason}")


@subscribe(ReservationExpired, queue="orders", batch=100)
def reservation_expired(event: ReservationExpired, session: Session) -> OrderCancelled | None:
    """Cancel the order unless it is paid. Whichever locks it first, this or the payment, decides.

    The stock is released by the cancellation, and a charge that comes after it is refunded.
    """
    order = _locked(session, event.order_id)
    if order.payment != "waiting":
        return None
    period = duration_text(event.minutes * 60.0)
    return orders.cancel_if_open(session, order.id, f"it was not paid within {period}")


@subscribe(OrderShipped, queue="orders", batch=100)
def order_shipped(event: OrderShipped, session: Session) -> ShipmentOrphaned | None:
    """Complete the order; have the parcel of a cancelled order recalled."""
    order = _locked(session, event.order_id)
    if order.status == "cancelled":
        _change(session, order.id, shipment="shipped")
        return ShipmentOrphaned(order_id=order.id, tracking=event.tracking)
    _change(session, order.id, shipment="shipped", status="shipped")
    return None


@subscribe(InventoryReleased, queue="orders", batch=100)
def stock_released(event: InventoryReleased, session: Session) -> None:
    """Record that the stock is released."""
    order = _locked(session, event.order_id)
    _change(session, order.id, stock="released")


@subscribe(PaymentRefunded, queue="orders", batch=100)
def payment_refunded(event: PaymentRefunded, session: Session) -> None:
    """Record that the payment is refunded."""
    order = _locked(session, event.order_id)
    _change(session, order.id, payment="refunded")


@subscribe(ShipmentRecalled, queue="orders", batch=100)
def shipment_recalled(event: ShipmentRecalled, session: Session) -> None:
    """Record that the parcel is recalled."""
    order = _locked(session, event.order_id)
    _change(session, order.id, shipment="cancelled")


def _confirm_if_complete(
    session: Session, order_id: str, stock: str, payment: str
) -> OrderConfirmed | None:
    if (stock, payment) != ("reserved", "charged"):
        return None
    return orders.confirm(session, order_id)


# Without the ORM, which took half of the time of a step.
_ORDERS = table_of(Order)
_O = _ORDERS.c
_LOCKED = (
    select(_O.id, _O.number, _O.status, _O.stock, _O.payment)
    .where(_O.id == bindparam("order_id"))
    .with_for_update()
)
_CHANGE = update(_ORDERS).where(_O.id == bindparam("order_id"))


def _locked(session: Session, order_id: str) -> Any:
    """Return the state of an order, locked until the transaction ends. Raises `UnknownOrder`."""
    session.flush()
    rows = fetch(session.connection(), _LOCKED, {"order_id": order_id})
    if not rows:
        raise UnknownOrder(order_id)
    return rows[0]


def _change(session: Session, order_id: str, **state: str) -> None:
    values = {"order_id": order_id, "updated_at": clock.now(), **state}
    fetch(session.connection(), _CHANGE, values)
