"""Measure pages and speed on an empty database, and again after years of orders.

Run: python -m benchmarks.growth [--database postgres] [--broker rabbitmq]

The past is written by SQL: 200,000 orders with 1,000,000 events, 5,000,000 deliveries and 100,000
dead letters; with --quick a tenth of it.
"""

import base64
import http.client
import statistics
import time

from sqlalchemy import text

from benchmarks import client, latency
from benchmarks.contest import Stalled, until
from benchmarks.options import Options, run_alone
from benchmarks.past import Past
from benchmarks.queries import LATEST_ORDER, SHIPPED_AFTER
from benchmarks.report import Result, Row, progress
from benchmarks.servers import Servers
from benchmarks.shop import Shop

PAGES = (
    "/",
    "/ops",
    "/ops/alerts",
    "/ops/audit",
    "/ops/breakers",
    "/ops/catalog",
    "/ops/dead-letters",
    "/ops/dead-letters?q=error:refused",
    "/ops/events",
    "/ops/mails",
    "/ops/orders",
    "/ops/products",
    "/ops/queues",
    "/ops/replays",
    "/ops/schedules",
    "/api/v1/alerts/preview",
    "/api/v1/audit",
    "/api/v1/breakers",
    "/api/v1/dead-letters",
    "/api/v1/events",
    "/api/v1/orders",
    "/api/v1/orders/stuck",
    "/api/v1/processes",
    "/api/v1/products",
    "/api/v1/queues",
    "/api/v1/replays",
    "/api/v1/stats",
    "/api/v1/subscriptions",
    "/readyz",
    "/metrics",
)
_ORDER_PAGES = ("/ops/orders/<id>", "/ops/orders/<id>/trace")
_LOOKS = 5
_SINGLE_ORDERS = 9
_ORDERS = 300


def measure(servers: Servers, options: Options) -> Result:
    """Measure on an empty shop, write the past into it, and measure again."""
    past = Past(orders=int(options.choose(200_000, 20_000)))
    with Shop(servers) as shop:
        skus = shop.skus()
        client.post(shop.url, clients=2, orders=50, skus=skus)
        before = _all(shop, skus)
        progress(f"growth: writing {past}")
        past.write(shop.engine)
        after = _all(shop, skus)
    rows = [
        Row(name, unit, [before[name, unit], value], [value / before[name, unit]])
        for (name, unit), value in after.items()
    ]
    return Result("growth", f"an empty database, and one with {past}", rows, [_NOTE])


_NOTE = "least and most are the empty and the full database, or the other way round"


def _all(shop: Shop, skus: str) -> dict[tuple[str, str], float]:
    shop.settle()
    found = {(path, "ms"): _page(shop, path) for path in PAGES}
    newest = _newest_order(shop)
    found |= {(path, "ms"): _page(shop, path.replace("<id>", newest)) for path in _ORDER_PAGES}
    found |= _latencies(shop, skus.partition(",")[0])
    shipped = SHIPPED_AFTER.format(shop.count(LATEST_ORDER))
    posted = client.post(shop.url, clients=8, orders=_ORDERS, skus=skus)
    if not until(lambda: shop.count(shipped) >= _ORDERS, within=120, pause=0.02):
        raise Stalled(f"only {shop.count(shipped)} of {_ORDERS} orders are shipped")
    found["accepted", "orders/s"] = posted.per_second
    found["shipped", "orders/s"] = _ORDERS / (time.time() - posted.began)
    return found


def _latencies(shop: Shop, sku: str) -> dict[tuple[str, str], float]:
    """Return the medians of single orders, in milliseconds."""
    found = [latency.one(shop, client.body(number, sku)) for number in range(_SINGLE_ORDERS)]
    medians = [statistics.median(times) * 1000 for times in zip(*found, strict=True)]
    stages = ((f"POST to {stage}", "ms") for stage in latency.STAGES)
    return dict(zip(stages, medians, strict=True))


def _newest_order(shop: Shop) -> str:
    with shop.engine.connect() as connection:
        return str(connection.scalar(text("SELECT id FROM orders ORDER BY key DESC LIMIT 1")))


def _page(shop: Shop, path: str) -> float:
    """Return the median time of a page, in milliseconds."""
    login = base64.b64encode(shop.login.encode()).decode()
    times = []
    for _ in range(_LOOKS):
        connection = http.client.HTTPConnection(shop.url.removeprefix("http://"), timeout=60)
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Basic {login}"})
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
        connection.close()
        if answer.status not in (200, 503):  # 503: /readyz on a shop that is catching up
            raise Stalled(f"{path} answered {answer.status}")
    return statistics.median(times)


if __name__ == "__main__":
    run_alone(measure, __doc__)
