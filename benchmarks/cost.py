"""Measure what it costs to run the shop, and a worker beside those of the alternatives.

Run: python -m benchmarks.cost [--database postgres] [--broker rabbitmq]

The shop: memory, CPU for each order, CPU when idle, start-up. A worker, with Tidings' relay: memory
and CPU for each effect, while it works off a backlog. Memory is the proportional set size (PSS):
what processes share is divided among them. Under PostgreSQL or RabbitMQ the servers' own share is
not in it.
"""

import time

from benchmarks import client, handle
from benchmarks.contest import Contender, Run, Stalled, until
from benchmarks.options import Options, run_alone
from benchmarks.report import Result, Row, progress
from benchmarks.servers import Servers
from benchmarks.shop import Shop, cpu_seconds

CLIENTS = 4
_WITHIN = 90.0  # seconds for one run
_SETTLED = 6.0  # seconds after which every process has done what it does at its start


def measure(servers: Servers, options: Options) -> Result:
    """Start the shop in each round; let the last one idle and then work."""
    ready = []
    for _ in range(options.rounds - 1):
        progress("cost: starting")
        with Shop(servers) as shop:
            ready.append(shop.seconds_to_ready)
    with Shop(servers) as shop:
        ready.append(shop.seconds_to_ready)
        time.sleep(_SETTLED)
        memory = shop.memory().total() / 1e6
        rows = [
            Row("from start to ready", "s", ready),
            Row("PSS before the first order", "MB", [memory]),
            *_rows(shop, options),
        ]
    for contender in handle.chosen(options):
        progress(f"cost: {contender.name}")
        try:
            rows += _worker(servers, contender, options)
        except Stalled as stalled:
            rows.append(
                Row(f"{contender.name}: CPU for an effect", "ms", note=f"failed: {stalled}")
            )
    return Result("cost", "`tidings up` with every service, and one worker of each contender", rows)


def _rows(shop: Shop, options: Options) -> list[Row]:
    orders = int(options.choose(300, 40))
    client.post(shop.url, clients=1, orders=5, skus=shop.skus())
    shop.settle()
    idle = _idle(shop, options.choose(15, 10))
    before = shop.cpu_seconds()
    client.post(shop.url, clients=CLIENTS, orders=orders, skus=shop.skus())
    shop.settle()
    used = shop.cpu_seconds() - before
    memory = shop.memory()
    rows = [
        Row("CPU when idle", "% of a core", [idle * 100]),
        Row("CPU for 1,000 orders", "s", [used * 1000 / orders], note=f"measured on {orders}"),
        Row("PSS after the orders", "MB", [memory.total() / 1e6]),
    ]
    return rows + [Row(f"PSS, {role}", "MB", [size / 1e6]) for role, size in memory.most_common()]


def _worker(servers: Servers, contender: Contender, options: Options) -> list[Row]:
    if servers.broker not in contender.brokers:
        return []
    messages = int(contender.rate * options.choose(8, 3))
    run = Run(contender, servers)
    try:
        run.send(messages)
        run.worker()
        if not until(run.done, within=_WITHIN):
            raise Stalled(f"{contender.name} does not begin")
        done, before = run.done(), cpu_seconds(run.processes())
        run.wait(messages, _WITHIN)
        used = (cpu_seconds(run.processes()) - before) / max(messages - done, 1)
        memory = sum(each.memory_full_info().pss for each in run.processes())
    finally:
        run.close()
    return [
        Row(f"{contender.name}: CPU for an effect", "ms", [used * 1000], [], contender.guarantee),
        Row(f"{contender.name}: PSS", "MB", [memory / 1e6]),
    ]


def _idle(shop: Shop, seconds: float) -> float:
    progress(f"cost: idle for {seconds:g} s")
    time.sleep(2.0)
    before, began = shop.scheduled_seconds(), time.monotonic()
    time.sleep(seconds)
    return (shop.scheduled_seconds() - before) / (time.monotonic() - began)


if __name__ == "__main__":
    run_alone(measure, __doc__)
