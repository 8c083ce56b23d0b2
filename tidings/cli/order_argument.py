"""The argument of a command that names an order, by its number or id."""

from contextlib import suppress
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import TidingsError
from tasks.commands import order_number
from tasks.orders import Order
from tidings.cli.parameters import Rule

order_argument = click.argument("order", metavar="ORDER", type=Rule(order_number))


class NoSuchOrder(TidingsError):
    """No order has this number or id."""


def find_order(session: Session, text: str) -> Order:
    """Return the order with this number or id. Raises `NoSuchOrder`."""
    wanted = Order.number == text
    with suppress(ValueError):
        wanted = Order.id == str(UUID(text))
    order = session.scalar(select(Order).where(wanted))
    if order is None:
        raise NoSuchOrder(
            f"no order has the number or the id {text!r}; `tidings orders list` shows the latest"
        )
    return order
