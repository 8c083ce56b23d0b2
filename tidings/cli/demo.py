"""`tidings demo`: place mixed orders against a running shop."""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import click
from rich.progress import Progress

from tidings.cli.output import print_table, progress_bars
from tidings.cli.parameters import Number, WholeNumber
from tidings.cli.shop import Shop
from tidings.order_mix import OUT_OF_STOCK, draw_kinds, draw_order

_THREADS = 4
_POLL_INTERVAL = 0.3  # seconds
_FINAL_STATUSES = ("shipped", "cancelled")
_WEIGHTS = {
    "tok_ok": 60,
    "tok_declined": 12,
    "tok_flaky": 10,
    "tok_lost_answer": 8,
    OUT_OF_STOCK: 7,
    "tok_broken": 3,
}
_EXPECTED = {
    "tok_ok": "shipped",
    "tok_declined": "cancelled",
    "tok_flaky": "shipped",
    "tok_lost_answer": "shipped",
    OUT_OF_STOCK: "cancelled",
    "tok_broken": "placed, with a dead letter",
}


@dataclass
class DemoOrder:
    """An order of the demo: its kind, the response to it, and its latest state."""

    kind: str
    placed: dict[str, Any]
    state: dict[str, Any] = field(default_factory=lambda: {"status": "placed"})

    @property
    def ended(self) -> bool:
        """True if the status is final."""
        return self.state["status"] in _FINAL_STATUSES

    @property
    def can_end(self) -> bool:
        """False for a card that always fails: its charge becomes a dead letter."""
        return self.kind != "tok_broken"


@click.command()
@click.option(
    "--orders",
    "count",
    type=WholeNumber(1, 100_000),
    default=100,
    show_default=True,
    help="Number of orders.",
)
@click.option(
    "--url", default="http://127.0.0.1:8000", show_default=True, help="Address of the shop."
)
@click.option(
    "--wait",
    "timeout",
    type=Number(0),
    default=120.0,
    show_default=True,
    help="Seconds to wait until all orders are shipped or cancelled.",
)
def demo(count: int, url: str, timeout: float) -> None:
    """Place mixed orders against a running shop, wait until they end, and print a summary.

    The cards work, are declined, fail twice, lose their answer or always fail; some orders exceed
    the stock.
    """
    shop = Shop(url)
    kinds = draw_kinds(_WEIGHTS, count, secrets.SystemRandom())
    with progress_bars() as progress, ThreadPoolExecutor(_THREADS) as pool:
        orders = _place(shop, kinds, pool, progress)
        _follow(shop, orders, pool, progress, timeout)
    _sum_up(orders)


def _place(
    shop: Shop, kinds: Sequence[str], pool: ThreadPoolExecutor, progress: Progress
) -> list[DemoOrder]:
    products, rng = shop.products(), secrets.SystemRandom()
    bar = progress.add_task("placing ", total=len(kinds))

    def place(kind: str) -> DemoOrder:
        placed = shop.place(draw_order(kind, products, rng), key=str(uuid4()))
        progress.advance(bar)
        return DemoOrder(kind, placed)

    return list(pool.map(place, kinds))


def _follow(
    shop: Shop,
    orders: Sequence[DemoOrder],
    pool: ThreadPoolExecutor,
    progress: Progress,
    timeout: float,
) -> None:
    """Poll the open orders until all that can end have ended, or `timeout` seconds have passed."""
    bar = progress.add_task("handling", total=len(orders))
    deadline = time.monotonic() + timeout

    def refresh(order: DemoOrder) -> None:
        order.state = shop.order(order.placed)

    while True:
        list(pool.map(refresh, [each for each in orders if not each.ended]))
        progress.update(bar, completed=sum(each.ended for each in orders))
        if not _late(orders) or time.monotonic() > deadline:
            return
        time.sleep(_POLL_INTERVAL)


def _late(orders: Sequence[DemoOrder]) -> list[DemoOrder]:
    return [each for each in orders if each.can_end and not each.ended]


def _sum_up(orders: Sequence[DemoOrder]) -> None:
    counts = Counter(
        (each.kind, each.state["status"], each.state.get("reason") or "") for each in orders
    )
    kinds = list(_WEIGHTS)
    rows = [
        (kind, count, status, reason, _EXPECTED[kind])
        for (kind, status, reason), count in sorted(
            counts.items(), key=lambda item: (kinds.index(item[0][0]), *item[0][1:])
        )
    ]
    columns = ("card or case", "orders", "status", "reason", "expected")
    print_table(columns, rows, empty="no orders")
    if late := _late(orders):
        raise click.ClickException(
            f"{len(late)} orders have not ended in time, the first is "
            f"{late[0].placed['number']}; `tidings queues` shows the backlog"
        )
