"""The orders service: an order is placed, confirmed or cancelled, each in one statement that only one of two can win.

OrderError
├── UnknownOrder      no order has that id
├── UnknownSku        the catalogue has no such product
├── OutOfStockNow     the shelf was looked at and holds fewer
└── NotCancellable    the order is shipped, or cancelled already
"""

import hmac
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import String, Text, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column
from uuid_utils.compat import uuid7

from events import Base, TidingsError, clock, insert_if_absent, publish
from events.admin import audit
from events.catalog import Address, Line, Money, OrderCancelled, OrderConfirmed, OrderCreated
from events.orm import BigIntPK, PydanticType
from tasks.commands import PlaceOrder
from tasks.products import Product, priced

FIRST_NUMBER = 1000


class Order(Base):
    """What a customer ordered and how far it got. Its state fields are kept by `tasks.checkout`."""

    __tablename__ = "orders"

    key: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    number: Mapped[str] = mapped_column(String(64), unique=True)
    token: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(
        String(10), default="placed", index=True
    )  # placed, confirmed, shipped, cancelled
    reason: Mapped[str | None] = mapped_column(Text)
    stock: Mapped[str] = mapped_column(
        String(10), default="waiting"
    )  # waiting, reserved, failed, released
    payment: Mapped[str] = mapped_column(
        String(10), default="waiting"
    )  # waiting, charged, failed, refunded
    shipment: Mapped[str] = mapped_column(
        String(10), default="waiting"
    )  # waiting, shipped, cancelled
    customer: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), index=True)
    address: Mapped[Address | None] = mapped_column(PydanticType(Address))
    lines: Mapped[tuple[Line, ...]] = mapped_column(PydanticType(tuple[Line, ...]))
    total_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(onupdate=clock.now)

    @property
    def total(self) -> Money:
        """What the customer pays."""
        return Money(amount=self.total_amount, currency=self.currency)


class OrderError(TidingsError):
    """An order cannot be what was asked. `field` names the part of the wish, `status` is HTTP's."""

    status = 422
    title = "The order cannot be taken"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownOrder(OrderError):
    """No order has this id."""

    status = 404
    title = "No such order"

    def __init__(self, order_id: str) -> None:
        super().__init__(f"no order has the id {order_id!r}")


class UnknownSku(OrderError):
    """The catalogue has no such product."""

    title = "No such product"


class OutOfStockNow(OrderError):
    """The shelf holds fewer than were asked for."""

    status = 409
    title = "Not enough in stock"


class NotCancellable(OrderError):
    """The order is beyond cancelling."""

    status = 409
    title = "The order cannot be cancelled"

    def __init__(self, order: Order) -> None:
        super().__init__(f"{order.number} is {order.status} already")


def place(session: Session, wish: PlaceOrder, *, shelf: Mapping[str, int] | None = None) -> Order:
    """Save an order and the event that tells of it, in the caller's transaction.

    With `shelf`, what can be had now by sku, an order for more is refused at once; stock may still go before it is set
    aside, and then the order is cancelled. Raises `UnknownSku` and `OutOfStockNow`, whose `field` names the item.
    """
    lines = _lines(session, wish)
    if shelf is not None:
        _check_shelf(wish, lines, shelf)
    total = sum(
        (line.price * line.quantity for line in lines[1:]), start=lines[0].price * lines[0].quantity
    )
    order = _save(session, wish, lines, total)
    created = OrderCreated(
        order_id=order.id,
        number=order.number,
        customer=order.customer,
        email=order.email,
        lines=lines,
        total=total,
        shipping_address=order.address,
        payment_token=wish.payment_token,
    )
    publish(session, created, subject=order.number)
    return order


def _lines(session: Session, wish: PlaceOrder) -> tuple[Line, ...]:
    """One line per product, at the catalogue's price, in the order in which they were named."""
    products = priced(session, {item.sku for item in wish.items})
    quantities: Counter[str] = Counter()
    for index, item in enumerate(wish.items):
        if item.sku not in products:
            raise UnknownSku(f"there is no product {item.sku}", field=f"items.{index}.sku")
        quantities[item.sku] += item.quantity
    return tuple(_line(products[sku], quantity) for sku, quantity in quantities.items())


def _line(product: Product, quantity: int) -> Line:
    return Line(sku=product.sku, name=product.name, quantity=quantity, price=product.price)


def _check_shelf(wish: PlaceOrder, lines: Sequence[Line], shelf: Mapping[str, int]) -> None:
    for line in lines:
        left = shelf.get(line.sku, 0)
        if line.quantity > left:
            index = next(index for index, item in enumerate(wish.items) if item.sku == line.sku)
            told = f"only {left} of {line.name} are left" if left else f"{line.name} is sold out"
            raise OutOfStockNow(told, field=f"items.{index}.quantity")


def _save(session: Session, wish: PlaceOrder, lines: tuple[Line, ...], total: Money) -> Order:
    id, now = str(uuid7()), clock.now()
    order = Order(
        id=id,
        number=id,  # until the key is known
        token=secrets.token_urlsafe(24),
        customer=wish.customer.name,
        email=wish.customer.email,
        address=wish.shipping_address.address(),
        lines=lines,
        total_amount=total.amount,
        currency=total.currency,
        created_at=now,
        updated_at=now,
    )
    session.add(order)
    session.flush()
    order.number = f"ORD-{FIRST_NUMBER + order.key}"
    return order


def ensure_order(session: Session, event: OrderCreated) -> None:
    """Give an order its row if it has none: it came by another door than `place`, an import or an older shop."""
    now = clock.now()
    row = {
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
    insert_if_absent(session, Order, row)


def cancel(session: Session, order_id: str, *, reason: str, who: str) -> Order:
    """Cancel an order that is not shipped. Raises `UnknownOrder` and `NotCancellable`."""
    cancelled = call_off(session, order_id, reason)
    order = find(session, order_id)
    if cancelled is None:
        raise NotCancellable(order)
    publish(session, cancelled, subject=order.number)
    audit.record(session, who=who, action="cancel", target=order.number, why=reason)
    return order


def call_off(session: Session, order_id: str, reason: str) -> OrderCancelled | None:
    """Cancel an order unless it is shipped or cancelled; the event that tells of it, or nothing if it was too late."""
    order = _advance(
        session,
        order_id,
        "placed",
        "confirmed",
        status="cancelled",
        shipment="cancelled",
        reason=reason,
    )
    if order is None:
        return None
    return OrderCancelled(order_id=order.id, number=order.number, email=order.email, reason=reason)


def confirm(session: Session, order_id: str) -> OrderConfirmed | None:
    """Confirm an order that is still placed; the event that tells of it, or nothing if it was cancelled meanwhile."""
    order = _advance(session, order_id, "placed", status="confirmed")
    if order is None:
        return None
    return OrderConfirmed(
        order_id=order.id,
        number=order.number,
        customer=order.customer,
        email=order.email,
        lines=order.lines,
        total=order.total,
        shipping_address=order.address,
    )


def _advance(session: Session, order_id: str, *allowed: str, **changes: str) -> Order | None:
    """Change an order in one statement if its status allows it."""
    session.flush()
    moved = (
        update(Order)
        .where(Order.id == order_id, Order.status.in_(allowed))
        .values(**changes)
        .returning(Order)
        .execution_options(populate_existing=True)
    )
    return session.scalars(moved).one_or_none()


def find(session: Session, order_id: str, *, locked: bool = False) -> Order:
    """The order with this id, on request locked until the transaction ends. Raises `UnknownOrder`."""
    wanted = select(Order).where(Order.id == order_id).execution_options(populate_existing=True)
    session.flush()
    order = session.scalars(wanted.with_for_update() if locked else wanted).one_or_none()
    if order is None:
        raise UnknownOrder(order_id)
    return order


def listed(session: Session, limit: int = 50, before: int | None = None) -> Sequence[Order]:
    """The latest orders, newest first; `before` is the key of the last one on the page before."""
    wanted = select(Order).order_by(Order.key.desc()).limit(limit)
    return session.scalars(wanted if before is None else wanted.where(Order.key < before)).all()


def may_read(order: Order, token: str | None) -> bool:
    """Whether `token` is the one that was given out with this order; compared in constant time."""
    return hmac.compare_digest(order.token.encode(), (token or "").encode(errors="replace"))
