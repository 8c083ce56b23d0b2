"""Measure whole orders under `tidings up`, from the POST until all are shipped.

Run: python -m benchmarks.orders [--database postgres] [--broker rabbitmq]

After the rounds come orders at half of the rate that was shipped; the time of a delivery is that
from the moment its event is published to its end.
"""

import statistics
import time
from collections import Counter, defaultdict
from datetime import datetime

from sqlalchemy import text

from benchmarks import client
from benchmarks.contest import Stalled, until
from benchmarks.options import Options, run_alone
from benchmarks.queries import SHIPPED
from benchmarks.report import Result, Row, percentile
from benchmarks.servers import Servers
from benchmarks.shop import Shop
from benchmarks.write_lock import WriteLock

CLIENTS = 8
_DELIVERIES = """SELECT deliveries.due_at, deliveries.done_at FROM deliveries
    JOIN events ON events.id = deliveries.event_id
    WHERE events.position > :last AND deliveries.done_at IS NOT NULL"""
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
        half = statistics.median(figures["shipped", "orders/s"]) / 2
        for name, value in _at_rate(shop, half, options.choose(10, 3), skus).items():
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


def _at_rate(shop: Shop, rate: float, seconds: float, skus: str) -> dict[tuple[str, str], float]:
    with shop.engine.connect() as connection:
        last = connection.scalar(text("SELECT max(position) FROM events"))
    orders = int(rate * seconds)
    posted = client.post(shop.url, clients=CLIENTS, orders=orders, skus=skus, rate=rate)
    shop.settle()
    with shop.engine.connect() as connection:
        rows = connection.execute(text(_DELIVERIES), {"last": last}).all()
    waits = [(_moment(done) - _moment(due)).total_seconds() for due, done in rows]
    return {
        ("posted at half of that", "orders/s"): posted.per_second,
        ("accepted then, p99", "ms"): percentile(posted.latencies, 0.99) * 1000,
        ("a delivery then, p50", "ms"): percentile(waits, 0.5) * 1000,
        ("a delivery then, p99", "ms"): percentile(waits, 0.99) * 1000,
    }


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _lock(held: Counter[str], orders: int) -> dict[tuple[str, str], float]:
    if not held:
        return {}
    each = {("write lock held for an order", "ms"): held.total() / orders}
    return each | {
        (f"write lock, {role}", "ms"): time / orders for role, time in sorted(held.items())
    }


if __name__ == "__main__":
    run_alone(measure, __doc__)
