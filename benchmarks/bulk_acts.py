"""Measure how long orders wait while an operator's bulk acts run beside them.

Run: python -m benchmarks.bulk_acts [--database postgres] [--broker rabbitmq]

First without an act, then while 40,000 dead letters are discarded, then while a customer with one
order is erased among 100,000 idempotency keys; with --quick a tenth of each.
"""

import threading
import time

from sqlalchemy import text

from benchmarks import client
from benchmarks.client import Posted
from benchmarks.options import Options, run_alone
from benchmarks.past import DEAD, DELIVERIES, EVENTS, Past, settle
from benchmarks.report import Result, Row, percentile, progress
from benchmarks.servers import Servers
from benchmarks.shop import Shop

_SECONDS = 20.0
_CLIENTS = 2
_KEYS = {
    "sqlite": """INSERT INTO idempotency_keys (digest, body, answer, created_at, order_id)
WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {keys})
SELECT printf('%064x', n), '', json_object('id', 'o-' || n, 'token', 't', 'filler',
    printf('%.*c', 2000, 'x')), '2099-01-01 00:00:00.000000', 'o-' || n FROM s""",
    "postgresql": """INSERT INTO idempotency_keys (digest, body, answer, created_at, order_id)
SELECT lpad(to_hex(n), 64, '0'), '', json_build_object('id', 'o-' || n, 'token', 't', 'filler',
    repeat('x', 2000)), '2099-01-01'::timestamptz, 'o-' || n
FROM generate_series(1, {keys}) AS n""",
}


def measure(servers: Servers, options: Options) -> Result:
    """Place orders alone, beside a discard, and beside an erasure."""
    dead, keys = int(options.choose(40_000, 4_000)), int(options.choose(100_000, 10_000))
    with Shop(servers) as shop:
        skus = shop.skus()
        client.post(shop.url, clients=1, orders=20, skus=skus)
        _write(shop, dead, keys)
        rows = _rows("no act", client.post(shop.url, clients=_CLIENTS, seconds=_SECONDS, skus=skus))
        acts = {
            f"{dead:,} discarded": ("dead-letters", "discard", "--all"),
            f"erased among {keys:,} keys": (
                "erase",
                "--email",
                "ada7@clients.example",
                "--yes",
                "--force",
            ),
        }
        for name, words in acts.items():
            posted, took = _beside(shop, skus, words)
            rows += [Row(f"{name}: the act", "s", [took]), *_rows(name, posted)]
    return Result("bulk_acts", f"orders of {_CLIENTS} clients beside an operator's bulk act", rows)


def _write(shop: Shop, dead: int, keys: int) -> None:
    past = Past(orders=dead * DEAD // (EVENTS * DELIVERIES))
    progress(f"bulk_acts: writing {past}, and {keys:,} idempotency keys")
    past.write(shop.engine)
    with shop.engine.begin() as connection:
        connection.execute(text(_KEYS[shop.engine.dialect.name].format(keys=keys)))
    settle(shop.engine)
    shop.settle()


def _beside(shop: Shop, skus: str, words: tuple[str, ...]) -> tuple[Posted, float]:
    """Place orders while the command runs; return them, and the time that it took."""
    times: list[float] = []

    def act() -> None:
        time.sleep(1)  # the clients start
        times.append(time.time())
        shop.run(*words, "--why", "benchmark")
        times.append(time.time())

    operator = threading.Thread(target=act)
    operator.start()
    posted = client.post(shop.url, clients=_CLIENTS, seconds=_SECONDS, skus=skus)
    operator.join()
    return posted, times[1] - times[0]


def _rows(name: str, posted: Posted) -> list[Row]:
    found = {"p50": percentile(posted.latencies, 0.5), "p99": percentile(posted.latencies, 0.99)}
    found |= {"longest": max(posted.latencies)}
    return [Row(f"{name}: {what}", "ms", [value * 1000]) for what, value in found.items()]


if __name__ == "__main__":
    run_alone(measure, __doc__)
