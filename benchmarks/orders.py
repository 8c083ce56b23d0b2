"""Measure whole orders under `tidings up`, from the POST until all are shipped.

Run: python -m benchmarks.orders [--database postgres] [--broker rabbitmq]
"""

import time
from collections import Counter, defaultdict

from benchmarks import client
from benchmarks.contest import Stalled, until
from benchmarks.options import Options, run_alone
from benchmarks.queries import SHIPPED
from benchmarks.report import Result, Row, percentile
from benchmarks.servers import Servers
from benchmarks.shop import Shop
from benchmarks.write_lock import WriteLock

CLIENTS = 8
_WITHIN = 120.0  # seconds until the last order must be shipped


def measure(servers: Servers, options: Options) -> Result:
    """Place a lot of orders in each round and wait until all are shipped."""
    orders = int(options.choose(400, 60))
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    with Shop(servers) as shop:
        skus = shop.skus()
        client.post(shop.url, clients=1, orders=10, skus=skus)  # first calls import and compile
        shop.settle()
        for _ in range(options.rounds):
            for name, value in _round(shop, orders, skus).items():
                figures[name].append(value)
    title = f"{orders} orders from {CLIENTS} clients under `tidings up`, from POST to shipped"
    rows = [Row(name, unit, values) for (name, unit), values in figures.items()]
    return Result("orders", title, rows, _notes(shop))


def _notes(shop: Shop) -> list[str]:
    if not shop.sqlite:
        return []
    return ["the write lock is sampled each millisecond through fcntl's F_GETLK, which takes none"]


def _round(shop: Shop, orders: int, skus: str) -> dict[tuple[str, str], float]:
    before = shop.count(SHIPPED)
    with WriteLock(shop) as lock:
        posted = client.post(shop.url, clients=CLIENTS, orders=orders, skus=skus)
        if not until(lambda: shop.count(SHIPPED) >= before + orders, within=_WITHIN, pause=0.02):
            raise Stalled(f"{shop.count(SHIPPED) - before} of {orders} orders are shipped")
        took = time.time() - posted.began
        shop.settle()  # mails too
    found = {
        ("accepted", "orders/s"): posted.per_second,
        ("accepted, p50", "ms"): percentile(posted.latencies, 0.5) * 1000,
        ("accepted, p99", "ms"): percentile(posted.latencies, 0.99) * 1000,
        ("shipped", "orders/s"): orders / took,
        ("client's share of a core", "%"): posted.cpu_share * 100,
    }
    return found | _lock(lock.held, orders)


def _lock(held: Counter[str], orders: int) -> dict[tuple[str, str], float]:
    if not held:
        return {}
    each = {("write lock held for an order", "ms"): held.total() / orders}
    return each | {
        (f"write lock, {role}", "ms"): time / orders for role, time in sorted(held.items())
    }


if __name__ == "__main__":
    run_alone(measure, __doc__)
