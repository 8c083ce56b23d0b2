"""`tidings demo`: real orders, mixed, against a running shop."""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tidings.cli.output import console, print_table
from tidings.cli.shop import Shop

_chance = secrets.SystemRandom()
_AT_ONCE = 4
_PAUSE = 0.3  # seconds between two looks at the open orders
_ENDS = ("shipped", "cancelled")
# What is ordered, how often of a hundred, and how it should end.
_KINDS = {
    "tok_ok": (60, "shipped"),
    "tok_declined": (12, "cancelled"),
    "tok_flaky": (10, "shipped"),
    "tok_lost_answer": (8, "shipped"),
    "out of stock": (7, "cancelled"),
    "tok_broken": (3, "waits for a person: a dead letter"),
}
_NAMES = (
    "Ada Example",
    "Björn Beispiel",
    "Chiara Esempio",
    "Dilek Örnek",
    "Émile Exemple",
    "Fatima Mithal",
)
_CITIES = (
    ("Berlin", "10115", "DE"),
    ("Wien", "1010", "AT"),
    ("Paris", "75001", "FR"),
    ("Torino", "10121", "IT"),
    ("Dublin", "D02 X285", "IE"),
)


@dataclass
class Ordered:
    """One order of the demo: what kind it was, what the shop answered, how it stands."""

    kind: str
    placed: dict[str, Any]
    state: dict[str, Any] = field(default_factory=lambda: {"status": "placed"})

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state["status"] in _ENDS


@click.command()
@click.option(
    "--orders",
    "count",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="How many to place.",
)
@click.option(
    "--url", default="http://127.0.0.1:8000", show_default=True, help="Where the shop is."
)
@click.option(
    "--wait",
    "patience",
    type=click.FloatRange(0),
    default=120.0,
    show_default=True,
    help="Seconds to wait for their ends.",
)
def demo(count: int, url: str, patience: float) -> None:
    """Place mixed orders against a running shop, wait for their ends, and sum up.

    Cards that work, are declined, fail twice, lose their answer or never work, and orders for more than there is.
    """
    shop = Shop(url)
    kinds = _mix(count)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console()) as progress, ThreadPoolExecutor(_AT_ONCE) as pool:
        ordered = _place(shop, kinds, pool, progress)
        _follow(shop, ordered, pool, progress, patience)
    _sum_up(ordered)


def _mix(count: int) -> list[str]:
    """Kinds of orders in their proportions, each kind once at least if there is room, in an order of chance."""
    kinds = list(_KINDS)[:count]
    kinds += _chance.choices(
        list(_KINDS), [share for share, _ in _KINDS.values()], k=count - len(kinds)
    )
    _chance.shuffle(kinds)
    return kinds


def _place(
    shop: Shop, kinds: Sequence[str], pool: ThreadPoolExecutor, progress: Progress
) -> list[Ordered]:
    products = shop.products()
    bar = progress.add_task("placing ", total=len(kinds))

    def place(kind: str) -> Ordered:
        placed = shop.place(_wish(kind, products), key=str(uuid4()))
        progress.advance(bar)
        return Ordered(kind, placed)

    return list(pool.map(place, kinds))


def _wish(kind: str, products: Sequence[dict[str, Any]]) -> dict[str, Any]:
    name = _chance.choice(_NAMES)
    city, postcode, country = _chance.choice(_CITIES)
    plenty = [each["sku"] for each in products if each["available"] >= 100] or [
        each["sku"] for each in products
    ]
    items = [
        {"sku": sku, "quantity": _chance.randint(1, 3)}
        for sku in _chance.sample(plenty, k=min(_chance.randint(1, 3), len(plenty)))
    ]
    if kind == "out of stock":
        items.append(
            {"sku": min(products, key=lambda each: int(each["available"]))["sku"], "quantity": 99}
        )
    return {
        "customer": {"name": name, "email": f"{uuid4().hex[:8]}@customers.example"},
        "items": items,
        "shipping_address": {
            "line1": f"{_chance.randint(1, 99)} Example Street",
            "city": city,
            "postcode": postcode,
            "country": country,
        },
        "payment_token": kind if kind.startswith("tok_") else "tok_ok",
    }


def _follow(
    shop: Shop,
    ordered: Sequence[Ordered],
    pool: ThreadPoolExecutor,
    progress: Progress,
    patience: float,
) -> None:
    """Look at the open orders until all that can end have ended. `tok_broken` never does: it is a dead letter in the end."""
    bar = progress.add_task("handling", total=len(ordered))
    deadline = time.monotonic() + patience

    def look(order: Ordered) -> None:
        order.state = shop.order(order.placed)

    while True:
        list(pool.map(look, [each for each in ordered if not each.ended]))
        progress.update(bar, completed=sum(each.ended for each in ordered))
        if (
            all(each.ended or each.kind == "tok_broken" for each in ordered)
            or time.monotonic() > deadline
        ):
            return
        time.sleep(_PAUSE)


def _sum_up(ordered: Sequence[Ordered]) -> None:
    counts = Counter(
        (each.kind, each.state["status"], each.state.get("reason") or "") for each in ordered
    )
    rows = [
        (kind, count, status, why, _KINDS[kind][1])
        for (kind, status, why), count in sorted(counts.items(), key=_by_kind)
    ]
    print_table(
        ("card or case", "orders", "status", "reason", "expected end"), rows, empty="no orders"
    )
    late = [each for each in ordered if not each.ended and each.kind != "tok_broken"]
    if late:
        raise click.ClickException(
            f"{len(late)} orders had not ended in time, {late[0].placed['number']} first; `tidings queues` tells why"
        )


def _by_kind(item: tuple[tuple[str, str, str], int]) -> tuple[int, str, str]:
    kind, status, why = item[0]
    return list(_KINDS).index(kind), status, why
