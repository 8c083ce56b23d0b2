"""A run: start an instance, inject faults while orders are placed, wait until idle, and audit."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import inspect, select
from sqlalchemy.exc import SQLAlchemyError

from events import Database, reading
from events.database import use
from tasks.orders import Order
from tidings.chaos import endings
from tidings.chaos.audit import audit
from tidings.chaos.customers import Customers, RetryingShop, plan_orders
from tidings.chaos.figures import Figures, count_figures
from tidings.chaos.injector import Injector
from tidings.chaos.open_counts import count_open
from tidings.chaos.servers import ChaosTrouble
from tidings.chaos.stack import Stack

_POLL_INTERVAL = 0.5  # seconds


@dataclass(frozen=True)
class Options:
    """The options of a run. `seconds`, `pace` (the mean between faults) and `settle` are times."""

    folder: Path
    orders: int
    seconds: float
    database: str
    broker: str
    seed: int
    pace: float
    settle: float


@dataclass(frozen=True)
class Outcome:
    """The result of a run: its findings, and its counts."""

    findings: list[str]
    faults: Counter[str]
    accepted: int
    repeated: Counter[str]
    figures: Figures


class Watcher:
    """An observer of a run's progress; this one ignores it."""

    def injecting(self, fault: str, elapsed: float) -> None:
        """Handle the injection of a fault, `elapsed` seconds after the start."""

    def accepted(self) -> None:
        """Handle the acceptance of one more order."""

    def settling(self, open_deliveries: int) -> None:
        """Handle the wait for open deliveries after the last fault."""


def run(options: Options, watcher: Watcher) -> Outcome:
    """Run everything, and end what it started, also when interrupted. Raises `ChaosTrouble`."""
    stack = Stack(options.folder, database=options.database, broker=options.broker)
    _refuse_foreign_orders(options.database)
    stop = threading.Event()
    try:
        stack.start()
        use(Database(stack.database_url))
        return _run(stack, options, watcher, stop)
    finally:
        stop.set()
        stack.stop()


def _refuse_foreign_orders(url: str) -> None:
    if "://" not in url:
        return
    database = Database(url)
    try:
        with database.reading() as session:
            has_table = inspect(session.connection()).has_table("orders")
            if has_table and session.scalar(select(Order.id).limit(1)):
                raise ChaosTrouble(
                    f"the database {database.url.render_as_string()} contains orders; "
                    "name an empty one"
                )
    finally:
        database.close()


def _run(stack: Stack, options: Options, watcher: Watcher, stop: threading.Event) -> Outcome:
    rng = random.Random(options.seed)  # noqa: S311  a run must be repeatable
    shop = RetryingShop(stack.url, stop)
    _, found = shop.request_until_answered("/api/v1/products")
    planned = plan_orders(found["products"], options.orders, options.seconds, rng)
    customers = Customers(shop, planned, stop, watcher.accepted)
    injector = Injector(stack, rng, options.folder / "faults")
    customers.start()
    try:
        _inject(injector, stack, options, watcher, rng)
    finally:
        injector.repair()
    _settle(customers, watcher, stack, options.settle)
    accepted, failures = customers.stop()
    log = stack.up.log()
    with reading() as session:
        findings = audit(session, accepted)
        figures = count_figures(session, mails=stack.data_dir.mails, log=log)
    if not stack.up.running():
        findings.insert(0, f"`tidings up` itself ended with exit code {stack.up.exit_code}")
    findings += endings.uncaused(log, injector.counts)
    findings += injector.invalid_messages.missing()
    return Outcome([*failures, *findings], injector.counts, len(accepted), shop.repeated, figures)


def _inject(
    injector: Injector, stack: Stack, options: Options, watcher: Watcher, rng: random.Random
) -> None:
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < options.seconds and stack.up.running():
        fault = injector.next()
        watcher.injecting(fault.name, elapsed)
        injected = injector.inject(fault) is not None
        _pause(rng.uniform(0.2, 1.8) * options.pace if injected else _POLL_INTERVAL, injector)


def _pause(seconds: float, injector: Injector) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        injector.tick()
        time.sleep(min(0.1, left))


def _settle(customers: Customers, watcher: Watcher, stack: Stack, timeout: float) -> None:
    """Wait until all requests are answered and nothing is open, or `timeout` without progress."""
    seen, deadline = None, time.monotonic() + timeout
    while time.monotonic() < deadline and stack.up.running():
        try:
            with reading() as session:
                now = count_open(session)
        except SQLAlchemyError:  # the database is still recovering
            time.sleep(_POLL_INTERVAL)
            continue
        if now.idle and not customers.busy:
            return
        if now != seen:
            seen, deadline = now, time.monotonic() + timeout
        watcher.settling(now.deliveries)
        time.sleep(_POLL_INTERVAL)
