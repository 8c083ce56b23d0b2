"""One run: start everything, place orders while it is broken, wait until nothing is under way, and audit."""

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
from tidings.chaos.audit import Accepted, audit, still_open
from tidings.chaos.customers import Customers, Shop, errands
from tidings.chaos.faults import Breaker
from tidings.chaos.figures import Figures, figures
from tidings.chaos.stack import ChaosTrouble, Stack

_LOOK = 0.5  # seconds between two looks at what is under way


@dataclass(frozen=True)
class Options:
    """What a run was asked for. Times are in seconds; `pace` is the mean between two faults."""

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
    """How a run went: each breach in words, and the counts."""

    findings: list[str]
    faults: Counter[str]
    accepted: int
    asked_again: Counter[str]
    figures: Figures


class Watcher:
    """Is told how a run goes; a page or a terminal shows it."""

    def breaking(self, what: str, seconds: float) -> None:
        """Something is being broken, so many seconds after the start."""

    def accepted(self) -> None:
        """One more order was accepted."""

    def waiting(self, left: int) -> None:
        """Nothing is broken any more, and so many deliveries are open."""


def run(options: Options, watcher: Watcher) -> Outcome:
    """Do it all. Ends what it started, also when interrupted. Raises `ChaosTrouble` when it cannot begin."""
    stack = Stack(options.folder, database=options.database, broker=options.broker)
    _refuse_orders_of_others(options.database)
    stop = threading.Event()
    try:
        stack.start()
        use(Database(stack.database_url))
        return _break(stack, options, watcher, stop)
    finally:
        stop.set()
        stack.stop()


def _refuse_orders_of_others(url: str) -> None:
    if "://" not in url:
        return
    database = Database(url)
    try:
        with database.reading() as session:
            if inspect(session.connection()).has_table("orders") and session.scalar(
                select(Order.id).limit(1)
            ):
                raise ChaosTrouble("the database holds orders already; give chaos an empty one")
    finally:
        database.close()


def _break(stack: Stack, options: Options, watcher: Watcher, stop: threading.Event) -> Outcome:
    chance = random.Random(options.seed)  # noqa: S311  it keeps no secret; it can be repeated
    shop = Shop(stack.url, stop)
    _, found = shop.insist("/api/v1/products")
    customers = Customers(
        shop,
        errands(found["products"], options.orders, options.seconds, chance),
        stop,
        watcher.accepted,
    )
    breaker = Breaker(stack, chance, options.folder / "faults")
    customers.start()
    try:
        _strike(breaker, stack, options, watcher, chance)
    finally:
        breaker.mend()
    _wait(customers, watcher, stack, options.settle)
    accepted, troubles = customers.leave()
    return _judge(stack, breaker, shop, accepted, troubles)


def _strike(
    breaker: Breaker, stack: Stack, options: Options, watcher: Watcher, chance: random.Random
) -> None:
    began = time.monotonic()
    while (age := time.monotonic() - began) < options.seconds and stack.up.running():
        fault = breaker.next()
        watcher.breaking(fault.name, age)
        struck = breaker.strike(fault) is not None
        _pause(chance.uniform(0.2, 1.8) * options.pace if struck else _LOOK, breaker)


def _pause(seconds: float, breaker: Breaker) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        breaker.tend()
        time.sleep(min(0.1, left))


def _wait(customers: Customers, watcher: Watcher, stack: Stack, patience: float) -> None:
    """Until every customer was answered and nothing is under way, or nothing has moved for `patience` seconds."""
    seen, deadline = None, time.monotonic() + patience
    while time.monotonic() < deadline and stack.up.running():
        try:
            with reading() as session:
                now = still_open(session)
        except SQLAlchemyError:  # the database recovers from what was done to it
            time.sleep(_LOOK)
            continue
        if now.nothing and not customers.busy:
            return
        if now != seen:
            seen, deadline = now, time.monotonic() + patience
        watcher.waiting(now.deliveries)
        time.sleep(_LOOK)


def _judge(
    stack: Stack, breaker: Breaker, shop: Shop, accepted: list[Accepted], troubles: list[str]
) -> Outcome:
    said = stack.up.log()
    with reading() as session:
        findings = audit(session, accepted)
        counted = figures(session, mails=stack.home.mails, said=said)
    if not stack.up.running():
        findings.insert(0, f"`tidings up` itself ended with exit code {stack.up.exit_code}")
    return Outcome([*troubles, *findings], breaker.counts, len(accepted), shop.retries, counted)
