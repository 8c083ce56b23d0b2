"""Rolling restarts under load: a client that repeats a request once notices none of them."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import create_engine, text

from tests.servers import HANG, wait_until
from tests.tidings.up.instance import Instance

pytestmark = [pytest.mark.system, pytest.mark.slow]

# Titles as in `ps`. The web is Granian's main process: its workers end with it, and the supervisor
# holds the socket.
PLAN = [
    "inventory@",
    "payment@",
    "shipping@",
    "orders@",
    "email@",
    "tidings relay",
    "tidings: tidings web",
] * 3


@pytest.fixture(params=["sqlite and valkey", "postgres and rabbitmq"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    """A running instance, on the built-in services of `up` or on servers."""
    servers = (
        {"DATABASE_URL": "postgres_url", "BROKER_URL": "rabbitmq_url"}
        if request.param == "postgres and rabbitmq"
        else {}
    )
    instance = Instance(
        tmp_path, **{name: request.getfixturevalue(fixture) for name, fixture in servers.items()}
    )
    instance.start()
    yield instance
    instance.stop(60)


class Customers:
    """A customer who places one order after the other, and repeats a request once."""

    def __init__(self, shop: Instance) -> None:
        self.shop, self.placed, self.refused = shop, [], []  # type: ignore[var-annotated]
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._order)
        self.thread.start()

    def _order(self) -> None:
        while not self.stop.wait(0.1):
            key = str(uuid4())
            for attempt in (1, 2):
                try:
                    self.placed.append(
                        self.shop.ask("/api/v1/orders", _order_body(), **{"Idempotency-Key": key})
                    )
                    break
                except httpx.HTTPError as error:
                    if attempt == 2:
                        self.refused.append(repr(error))

    def stop_ordering(self) -> list[dict[str, Any]]:
        """Stop, and return the accepted orders."""
        self.stop.set()
        self.thread.join(HANG)
        return self.placed


def _order_body() -> dict[str, Any]:
    return {
        "customer": {"name": "Ada Example", "email": "ada@example.org"},
        "items": [{"sku": "TEE-M", "quantity": 1}],
        "shipping_address": {
            "line1": "1 Test Street",
            "city": "Berlin",
            "postcode": "10115",
            "country": "DE",
        },
        "payment_token": "tok_ok",
    }


def test_rolling_restarts_are_noticed_by_nobody(shop: Instance):
    customers = Customers(shop)
    restarts = 20 if "DATABASE_URL" in shop.env else len(PLAN) // 3  # once each on SQLite
    for name in PLAN[:restarts]:
        [old] = shop.titled(name)
        old.send_signal(signal.SIGTERM)
        wait_until(
            lambda name=name, old=old: [each for each in shop.titled(name) if each.pid != old.pid],
            what=f"a new {name}",
        )

    orders = customers.stop_ordering()

    assert customers.refused == []
    assert len(orders) > restarts
    for order in orders:
        wait_until(
            lambda order=order: shop.status(order) == "shipped",
            within=HANG,
            what=f"{order['number']} to be shipped",
        )
    assert _rows(shop, "SELECT count(*) FROM orders") == [(len(orders),)]
    assert _rows(shop, "SELECT subscription, error_type, message FROM attempts") == []
    assert _rows(shop, "SELECT count(*) FROM sandbox_charges") == [(len(orders),)]
    assert _rows(shop, "SELECT count(*) FROM sandbox_parcels") == [(len(orders),)]
    once = "SELECT subject, type FROM events GROUP BY subject, type HAVING count(*) > 1"
    assert _rows(shop, once) == []


def _rows(shop: Instance, query: str) -> list[Any]:
    engine = create_engine(shop.env.get("DATABASE_URL", f"sqlite:///{shop.data}/tidings.sqlite"))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()
