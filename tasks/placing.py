"""Placing an order: the order and its `OrderCreated` in one transaction."""

import secrets
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import String, bindparam, cast, insert, literal, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from events import clock, publish
from events.catalog import Address, Line, Money, OrderCreated
from events.dialects import DIALECTS, dialect_of
from events.orm import table_of
from tasks.commands import PlaceOrder
from tasks.orders import Order
from tasks.products import quote
from tasks.restores import FIRST_NUMBER, LAST_KEY


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """A new order, as it was saved."""

    key: int
    id: str
    number: str
    token: str
    email: str
    lines: tuple[Line, ...]
    total: Money
    status: str = "placed"


def place(
    session: Session, command: PlaceOrder, *, lines: tuple[Line, ...] | None = None
) -> PlacedOrder:
    """Save an order and its `OrderCreated` in the caller's transaction.

    `lines` are those of a `quote`, which is better made before the transaction. Raises as it does.
    """
    lines = quote(session, command) if lines is None else lines
    first, *others = (line.price * line.quantity for line in lines)
    total, address = sum(others, start=first), command.shipping_address.address()
    order = _save(session, command, lines, total, address)
    created = OrderCreated(
        order_id=order.id,
        number=order.number,
        customer=command.customer.name,
        email=command.customer.email,
        lines=lines,
        total=total,
        shipping_address=address,
        payment_token=command.payment_token,
    )
    publish(session, created, subject=order.number)
    return order


_TABLE = table_of(Order)
_GIVEN = (
    "id",
    "token",
    "customer",
    "email",
    "address",
    "lines",
    "total_amount",
    "currency",
    "created_at",
    "updated_at",
)


@cache
def _insert_numbered(dialect: str) -> Any:
    """Insert an order whose number is made from its key; return both."""
    taken = select(DIALECTS[dialect].next_key(_TABLE.c.key, LAST_KEY).label("key")).subquery()
    number = literal("ORD-") + cast(taken.c.key + FIRST_NUMBER, String)
    values = [bindparam(name, type_=_TABLE.c[name].type) for name in _GIVEN]
    rows = select(taken.c.key, number, *values)
    insert_row = insert(_TABLE).from_select(["key", "number", *_GIVEN], rows)
    return insert_row.returning(_TABLE.c.key, _TABLE.c.number)


def _save(
    session: Session,
    command: PlaceOrder,
    lines: tuple[Line, ...],
    total: Money,
    address: Address,
) -> PlacedOrder:
    now = clock.now()
    order_id, token = str(uuid7()), secrets.token_urlsafe(24)
    row = {
        "id": order_id,
        "token": token,
        "customer": command.customer.name,
        "email": command.customer.email,
        "address": address,
        "lines": lines,
        "total_amount": total.amount,
        "currency": total.currency,
        "created_at": now,
        "updated_at": now,
    }
    insert_row = _insert_numbered(dialect_of(session).name)
    key, number = session.connection().execute(insert_row, row).one()
    return PlacedOrder(key, order_id, number, token, command.customer.email, lines, total)
