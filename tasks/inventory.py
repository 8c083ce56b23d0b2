"""The inventory service: stock on the shelf, set aside for orders, with a ledger of every movement."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, TidingsError, clock, get_or_create_locked, insert_if_absent, subscribe
from events.catalog import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    Line,
    OrderCancelled,
    OrderCreated,
)
from events.orm import BigIntPK, PydanticType


class Stock(Base):
    """How many of one product lie on the shelf."""

    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("available >= 0", name="never_negative"),)

    sku: Mapped[str] = mapped_column(String(32), primary_key=True)
    available: Mapped[int]


class Movement(Base):
    """So many came onto the shelf, or were taken off it. The movements of a product add up to its stock."""

    __tablename__ = "stock_movements"

    id: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    sku: Mapped[str] = mapped_column(ForeignKey("stock.sku"), index=True)
    order_id: Mapped[str | None] = mapped_column(String(64), index=True)
    quantity: Mapped[int]
    reason: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime]


class Reservation(Base):
    """What is set aside for an order: `open`, then `reserved`, `failed`, `released`, or `cancelled` before it was asked for."""

    __tablename__ = "reservations"

    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    lines: Mapped[tuple[Line, ...]] = mapped_column(PydanticType(tuple[Line, ...]))


class OutOfStock(TidingsError):
    """The shelf holds fewer than were asked for."""

    def __init__(self, sku: str) -> None:
        super().__init__(f"not enough of {sku} on the shelf")
        self.sku = sku


def stock_up(session: Session, sku: str, quantity: int) -> None:
    """Put `quantity` more onto the shelf."""
    if quantity < 1:
        raise ValueError(f"cannot put {quantity} of {sku} onto the shelf; give a number above zero")
    insert_if_absent(session, Stock, {"sku": sku, "available": 0})
    _move(session, sku, quantity, "stocked")


def fill_shelf(session: Session, quantities: Mapping[str, int]) -> None:
    """Stock each product that was never stocked."""
    known = shelf(session)
    for sku, quantity in sorted(quantities.items()):
        if sku not in known:
            stock_up(session, sku, quantity)


def shelf(session: Session) -> dict[str, int]:
    """How many of each product can be ordered now."""
    return {stock.sku: stock.available for stock in session.scalars(select(Stock))}


@subscribe(OrderCreated, queue="inventory", batch=100)
def reserve_stock(
    event: OrderCreated, session: Session
) -> InventoryReserved | InventoryReservationFailed | None:
    """Set every line aside, or none of them. An order that was cancelled before gets nothing."""
    reservation = get_or_create_locked(session, Reservation, event.order_id, state="open", lines=())
    if reservation.state != "open":
        return None
    try:
        with session.begin_nested():
            for line in _in_turn(event.lines):
                _move(session, line.sku, -line.quantity, "reserved", event.order_id)
    except OutOfStock as short:
        reservation.state = "failed"
        return InventoryReservationFailed(order_id=event.order_id, sku=short.sku)
    reservation.state, reservation.lines = "reserved", event.lines
    return InventoryReserved(order_id=event.order_id, lines=event.lines)


@subscribe(OrderCancelled, queue="inventory", batch=100)
def release_stock(event: OrderCancelled, session: Session) -> InventoryReleased | None:
    """Put back what was set aside. If nothing was yet, leave a mark so that nothing will be."""
    reservation = get_or_create_locked(session, Reservation, event.order_id, state="open", lines=())
    if reservation.state == "open":
        reservation.state = "cancelled"
    if reservation.state != "reserved":
        return None
    for line in _in_turn(reservation.lines):
        _move(session, line.sku, line.quantity, "released", event.order_id)
    reservation.state = "released"
    return InventoryReleased(order_id=event.order_id, lines=reservation.lines)


def _in_turn(lines: Iterable[Line]) -> list[Line]:
    """By sku: two orders that lock the same products in different orders would wait for each other."""
    return sorted(lines, key=lambda line: line.sku)


def _move(
    session: Session, sku: str, quantity: int, reason: str, order_id: str | None = None
) -> None:
    """Move stock in one statement, so that two orders never share it. Raises `OutOfStock` rather than go below zero."""
    moved = session.scalar(
        update(Stock)
        .where(Stock.sku == sku, Stock.available + quantity >= 0)
        .values(available=Stock.available + quantity)
        .returning(Stock.sku)
        .execution_options(synchronize_session=False)
    )
    if moved is None:
        raise OutOfStock(sku)
    session.execute(
        insert(Movement).values(
            sku=sku, order_id=order_id, quantity=quantity, reason=reason, at=clock.now()
        )
    )
