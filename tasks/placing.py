"""Placing an order: the order and its `OrderCreated` in one transaction."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from events import clock, gathered, publish
from events.catalog import Address, Line, Money, OrderCreated
from events.dialects import dialect_of
from events.orm import table_of
from tasks.commands import PlaceOrder
from tasks.orders import Order
from tasks.products import quote
from tasks.restores import LAST_KEY, number_of


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


def _new_keys(session: Session, count: int) -> Sequence[int]:
    return dialect_of(session).next_keys(session, _TABLE.c.key, LAST_KEY, count)


def _insert(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    dialect_of(session).insert_rows(session, _TABLE, rows)


def _save(
    session: Session,
    command: PlaceOrder,
    lines: tuple[Line, ...],
    total: Money,
    address: Address,
) -> PlacedOrder:
    now, key = clock.now(), gathered.next_key(session, _new_keys)
    order_id, number, token = str(uuid7()), number_of(key), secrets.token_urlsafe(24)
    row = {
        "key": key,
        "id": order_id,
        "number": number,
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
    gathered.insert_rows(session, _insert, [row])
    return PlacedOrder(key, order_id, number, token, command.customer.email, lines, total)
