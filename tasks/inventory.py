"""The inventory service: reserves stock for orders and records every movement of stock."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String, bindparam, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock, gathered, get_or_create_locked, subscribe
from events.catalog import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    Line,
    OrderCancelled,
    OrderCreated,
)
from events.dialects import Dialect, dialect_of, fetch
from events.orm import BigInt, BigIntPK, PydanticType, insert_or_lock, table_of, upsert
from tasks.errors import AmountTooLarge

MAX_STOCK = 10**12  # of one product


class Stock(Base):
    """The stock level of one product."""

    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("available >= 0", name="never_negative"),)

    sku: Mapped[str] = mapped_column(String(32), primary_key=True)
    available: Mapped[BigInt]


class Movement(Base):
    """A change of a stock level. The movements of a product add up to its stock level."""

    __tablename__ = "stock_movements"

    id: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    sku: Mapped[str] = mapped_column(ForeignKey("stock.sku"), index=True)
    order_id: Mapped[str | None] = mapped_column(String(64), index=True)
    quantity: Mapped[BigInt]
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


def add_stock(session: Session, sku: str, quantity: int) -> None:
    """Add `quantity` pieces to the stock of a product. Raises `AmountTooLarge`."""
    if quantity < 1:
        raise ValueError(f"cannot add {quantity} of {sku} to the stock; give a number above zero")
    level = get_or_create_locked(session, Stock, sku, available=0).available
    if level + quantity > MAX_STOCK:
        raise AmountTooLarge(
            f"{level} are in stock, and there is room for {MAX_STOCK}; add less", field="quantity"
        )
    _change(session, sku, quantity, "stocked")


def set_stock(session: Session, sku: str, level: int) -> int:
    """Correct the stock of a product to the `level` that was counted; return the earlier one."""
    before = get_or_create_locked(session, Stock, sku, available=0).available
    if level != before:
        _change(session, sku, level - before, "counted")
    return before


def _change(session: Session, sku: str, change: int, reason: str) -> None:
    session.execute(_CHANGE, [{"of": sku, "change": change}])
    movement = {"sku": sku, "order_id": None, "quantity": change, "reason": reason}
    session.execute(_RECORD, [movement | {"at": clock.now()}])


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
    key = event.order_id
    if insert_or_lock(session, Reservation, key, state="open", lines=()).state != "open":
        return None
    missing = _move(session, event.lines, -1, "reserved", key)
    if missing is not None:
        upsert(session, Reservation, {"order_id": key, "state": "failed", "lines": ()})
        return InventoryReservationFailed(order_id=key, sku=missing)
    upsert(session, Reservation, {"order_id": key, "state": "reserved", "lines": event.lines})
    return InventoryReserved(order_id=key, lines=event.lines)


@subscribe(OrderCancelled, queue="inventory", batch=100)
def release_stock(event: OrderCancelled, session: Session) -> InventoryReleased | None:
    """Release the reserved stock. If none is reserved yet, record that none shall be."""
    reservation = get_or_create_locked(session, Reservation, event.order_id, state="open", lines=())
    if reservation.state == "open":
        reservation.state = "cancelled"
    if reservation.state != "reserved":
        return None
    _move(session, reservation.lines, 1, "released", event.order_id)
    reservation.state = "released"
    return InventoryReleased(order_id=event.order_id, lines=reservation.lines)


_STOCK, _MOVEMENTS = table_of(Stock), table_of(Movement)
_CHANGE = (
    update(_STOCK)
    .where(_STOCK.c.sku == bindparam("of"))
    .values(available=_STOCK.c.available + bindparam("change"))
)
_RECORD = insert(_MOVEMENTS)


@cache
def _levels(dialect: Dialect) -> Any:
    levels = select(_STOCK.c.sku, _STOCK.c.available)
    wanted = levels.where(dialect.is_one_of(_STOCK.c.sku, "skus"))
    # Transactions that lock the same rows in another order deadlock.
    return wanted.order_by(_STOCK.c.sku).with_for_update()


def _move(
    session: Session, lines: Sequence[Line], sign: int, reason: str, order_id: str
) -> str | None:
    """Take all lines from the stock, or add them (`sign` is -1 or 1), under a lock.

    Returns the sku of which too little is in stock, and then nothing is moved.
    """
    pieces: Counter[str] = Counter()
    for line in lines:
        pieces[line.sku] += sign * line.quantity
    connection = session.connection()
    rows = fetch(connection, _levels(dialect_of(session)), {"skus": list(pieces)})
    levels = {row.sku: row.available for row in rows}
    for sku, change in pieces.items():
        if levels.get(sku, 0) + change < 0:
            return sku
    for sku, change in pieces.items():
        fetch(connection, _CHANGE, {"of": sku, "change": change})
    movement = {"order_id": order_id, "reason": reason, "at": clock.now()}
    moved = [{"sku": sku, "quantity": change, **movement} for sku, change in pieces.items()]
    gathered.execute_later(session, _RECORD, moved)
    return None
