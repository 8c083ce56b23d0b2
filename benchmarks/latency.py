"""Measure the latency of an order on an idle shop, one order at a time.

Run: python -m benchmarks.latency [--database postgres] [--broker rabbitmq]

The clock starts before the POST. An effect counts when another connection sees its commit.
"""

import http.client
import random
import time

from benchmarks import client
from benchmarks.contest import Stalled, until
from benchmarks.options import Options, run_alone
from benchmarks.queries import DONE_AFTER, LATEST_EVENT, LATEST_ORDER, SHIPPED_AFTER
from benchmarks.report import Result, Row, percentile, progress
from benchmarks.servers import Servers
from benchmarks.shop import Shop

_LOOK = 0.001  # seconds between two looks
_WITHIN = 20.0  # seconds for one order
STAGES = ("accepted", "first effect", "shipped")


def measure(servers: Servers, options: Options) -> Result:
    """Place one order after the other, each when the shop has been idle for a while."""
    orders, found = int(options.choose(40, 8)), []
    with Shop(servers) as shop:
        skus = shop.skus()
        client.post(shop.url, clients=1, orders=5, skus=skus)
        sku = skus.partition(",")[0]
        for number in range(orders):
            progress(f"latency: order {number + 1} of {orders}")
            found.append(one(shop, client.body(number, sku)))
    rows = []
    for stage, values in zip(STAGES, zip(*found, strict=True), strict=True):
        for share in (0.5, 0.99):
            milliseconds = percentile(values, share) * 1000
            rows.append(Row(f"POST to {stage}, p{share * 100:g}", "ms", [milliseconds]))
    return Result("latency", f"one order on an idle shop, {orders} times", rows)


def one(shop: Shop, order: bytes) -> tuple[float, float, float]:
    """Return the seconds from the POST to its answer, to the first effect and to shipped."""
    shop.settle()
    time.sleep(random.uniform(0.3, 0.4))  # noqa: S311  at no fixed moment of the relay's round
    done = DONE_AFTER.format(shop.count(LATEST_EVENT))
    shipped = SHIPPED_AFTER.format(shop.count(LATEST_ORDER))
    connection = http.client.HTTPConnection(shop.url.removeprefix("http://"), timeout=30)
    began = time.perf_counter()
    connection.request("POST", client.PATH, order, {"Content-Type": "application/json"})
    connection.getresponse().read()
    accepted = time.perf_counter() - began
    connection.close()
    moments = [accepted]
    for query in (done, shipped):
        _wait_for_one(shop, query)
        moments.append(time.perf_counter() - began)
    return moments[0], moments[1], moments[2]


def _wait_for_one(shop: Shop, query: str) -> None:
    if not until(lambda: shop.count(query) > 0, within=_WITHIN, pause=_LOOK):
        raise Stalled(f"an order waits for {_WITHIN:g} s: {query}")


if __name__ == "__main__":
    run_alone(measure, __doc__)
