"""`tidings orders`: the orders of the shop, those that are stuck, and acts on one."""

from dataclasses import asdict
from typing import Any

import click

from events import reading
from tasks import orders as shop
from tasks import stuck_orders
from tasks.money import money_text
from tasks.orders import Order
from tidings.cli.encoding import echo
from tidings.cli.order_acts import cancel, replay
from tidings.cli.output import cell, json_option, print_json, print_table
from tidings.cli.parameters import WholeNumber

_COLUMNS = ("number", "status", "placed", "total", "stock", "payment", "shipment", "id")
_STUCK_COLUMNS = ("number", "status", "placed", "total", "what", "waits for", "since")
_FIELDS = ("id", "number", "status", "reason", "stock", "payment", "shipment", "customer")


@click.group()
def orders() -> None:
    """List orders, and those that are stuck with what they wait for; cancel or replay one."""


for command in (cancel, replay):
    orders.add_command(command)


@orders.command("list")
@click.option("--limit", type=WholeNumber(1, 10_000), default=50, show_default=True)
@json_option
def list_orders(*, limit: int, as_json: bool) -> None:
    """List the latest orders, newest first."""
    with reading() as session:
        rows = shop.listed(session, limit=limit)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    cells = [
        (
            *(row.number, row.status, row.created_at, money_text(row.total)),
            *(row.stock, row.payment, row.shipment, row.id),
        )
        for row in rows
    ]
    print_table(_COLUMNS, cells, empty="there is no order yet")


@orders.command()
@click.option(
    "--limit",
    type=WholeNumber(1, 10_000),
    default=100,
    show_default=True,
    help="Number of open orders to look at, the oldest first.",
)
@json_option
def stuck(*, limit: int, as_json: bool) -> None:
    """List the orders that do not go on, oldest first, with what each waits for.

    An order is listed as soon as nothing goes on, such as behind a dead letter, a paused
    subscription, an open breaker or a queue without a worker, and otherwise after a minute.
    `tidings trace ORDER` shows one of them.
    """
    with reading() as session:
        found = stuck_orders.listed(session, limit=limit)
    if found.more:
        note = f"the {limit} oldest open orders were looked at; give a larger --limit for more"
        echo(note, err=True)
    if as_json:
        print_json(
            [
                _plain(each.order)
                | {"person": each.person, "waits": [asdict(wait) for wait in each.waits]}
                for each in found.orders
            ]
        )
        return
    cells = []
    for each in found.orders:
        row = each.order
        known = (row.number, row.status, row.created_at, money_text(row.total))
        for index, wait in enumerate(each.waits):
            left = known if not index else ("", "", "", "")
            cells.append((*left, wait.what, wait.waits_for, cell(wait.since)))
    print_table(_STUCK_COLUMNS, cells, empty="no order is stuck")


def _plain(row: Order) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _FIELDS}
    return values | {"total": row.total.model_dump(), "created_at": row.created_at}
