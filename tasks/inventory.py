"""The inventory service: reserves stock for orders and records every movement of stock."""

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
    """The stock level of one product."""

    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("available >= 0", name="never_negative"),)

    sku: Mapped[str] = mapped_column(String(32), primary_key=True)
    available: Mapped[int]


class Movement(Base):
    """A change of a stock level. The movements of a product add up to its stock level."""

    __tablename__ = "stock_movements"

    id: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    sku: Mapped[str] = mapped_column(ForeignKey("stock.sku"), index=True)
    order_id: Mapped[str | None] = mapped_column(String(64), index=True)
    quantity: Mapped[int]
    reason: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime]


class Reservation(Base):
    """The stock that is reserved for an order.

    `open`, then `reserved`, `failed` or `released`; `cancelled` if the cancellation came first.
    """

    __tablename__ = "reservations"

    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    lines: Mapped[tuple[Line, ...]] = mapped_column(PydanticType(tuple[Line, ...]))


class OutOfStock(TidingsError):
    """Less is in stock than is to be reserved."""

    def __init__(self, sku: str) -> None:
        super().__init__(f"not enough of {sku} in stock")
        self.sku = sku


def add_stock(session: Session, sku: str, quantity: int) -> None:
    """Add `quantity` pieces to the stock of a product."""
    if quantity < 1:
        raise ValueError(f"cannot add {quantity} of {sku} to the stock; give a number above zero")
    insert_if_absent(session, Stock, {"sku": sku, "available": 0})
    _move(session, sku, quantity, "stocked")


def add_opening_stock(session: Session, quantities: Mapping[str, int]) -> None:
    """Add stock of the products that have never had any."""
    known = stock_levels(session)
    for sku, quantity in sorted(quantities.items()):
        if sku not in known:
            add_stock(session, sku, quantity)


def stock_levels(session: Session) -> dict[str, int]:
    """Return the number of pieces that can be ordered now, by sku."""
    return {stock.sku: stock.available for stock in session.scalars(select(Stock))}


@subscribe(OrderCreated, queue="inventory", batch=100)
def reserve_stock(
    event: OrderCreated, session: Session
) -> InventoryReserved | InventoryReservationFailed | None:
    """Reserve every line, or none of them; for a cancelled order reserve nothing."""
    reservation = get_or_create_locked(session, Reservation, event.order_id, state="open", lines=())
    if reservation.state != "open":
        return None
    try:
        with session.begin_nested():
            for line in _by_sku(event.lines):
                _move(session, line.sku, -line.quantity, "reserved", event.order_id)
    except OutOfStock as error:
        reservation.state = "failed"
        return InventoryReservationFailed(order_id=event.order_id, sku=error.sku)
    reservation.state, reservation.lines = "reserved", event.lines
    return InventoryReserved(order_id=event.order_id, lines=event.lines)


@subscribe(OrderCancelled, queue="inventory", batch=100)
def release_stock(event: OrderCancelled, session: Session) -> InventoryReleased | None:
    """Release the reserved stock. If none is reserved yet, record that none shall be."""
    reservation = get_or_create_locked(session, Reservation, event.order_id, state="open", lines=())
    if reservation.state == "open":
        reservation.state = "cancelled"
    if reservation.state != "reserved":
        return None
    for line in _by_sku(reservation.lines):
        _move(session, line.sku, line.quantity, "released", event.order_id)
    reservation.state = "released"
    return InventoryReleased(order_id=event.order_id, lines=reservation.lines)


def _by_sku(lines: Iterable[Line]) -> list[Line]:
    """Sort the lines, because transactions that lock the same rows in another order deadlock."""
    return sorted(lines, key=lambda line: line.sku)


def _move(
    session: Session, sku: str, quantity: int, reason: str, order_id: str | None = None
) -> None:
    """Change a stock level in one statement, so that no piece is reserved twice.

    Raises `OutOfStock` if the level would fall below zero.
    """
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
