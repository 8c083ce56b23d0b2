"""The database under load, on a full disk, restarted: no process ends, no order is lost."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis import Redis
from redis.exceptions import ResponseError
from sqlalchemy import create_engine, text

from tests.disks import Disk
from tests.servers import HANG, wait_until
from tests.tidings.up.instance import ORDER, ForkedInstance, Instance
from tidings.chaos.postgres import Postgres
from tidings.up.data_dir import DataDir

pytestmark = [pytest.mark.system, pytest.mark.slow]

CUSTOMERS = 12
ORDERS = 120


def rows(url: str, query: str) -> list[Any]:
    """Return the rows of a query."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def every_order_went_through_once(
    instance: Instance, url: str, orders: list[dict[str, Any]]
) -> None:
    """Wait until all orders are shipped; each was charged once, without a failed attempt."""
    for order in orders:
        wait_until(
            lambda order=order: instance.status(order) == "shipped",
            within=HANG,
            what=f"{order['number']} to be shipped",
        )
    assert rows(url, "SELECT subscription, error_type, message FROM attempts") == []
    for effects in ("orders", "sandbox_charges", "sandbox_parcels"):
        assert rows(url, f"SELECT count(*) FROM {effects}") == [(len(orders),)]


def pids(instance: Instance) -> set[int]:
    """Return the ids of the children of the supervisor."""
    return {each.pid for each in instance.processes()[0].children()}


def patiently(instance: Instance, refused: list[dict[str, Any]]) -> dict[str, Any]:
    """Place one order, repeat it until it is accepted, and collect the refusals."""
    key = str(uuid4())
    while True:
        try:
            return instance.ask("/api/v1/orders", ORDER, **{"Idempotency-Key": key})
        except httpx.HTTPStatusError as error:
            refused.append(error.response.json())
            threading.Event().wait(0.2)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """A function that starts an instance with its data in a folder and its log elsewhere."""
    instances: list[Instance] = []

    def start(folder: Path = tmp_path, **env: str) -> Instance:
        instance = ForkedInstance(folder, **env)
        instance.home = tmp_path
        instances.append(instance)
        instance.start()
        return instance

    yield start
    for each in instances:
        each.stop(60)


def test_sqlite_under_web_relay_and_seven_workers_is_locked_for_nobody(
    start: Callable[..., Instance],
) -> None:
    shop = start()
    with ThreadPoolExecutor(CUSTOMERS) as customers:
        orders = list(
            customers.map(lambda _: shop.order(), range(ORDERS))
        )  # a refusal would raise here

    every_order_went_through_once(shop, f"sqlite:///{shop.data}/tidings.sqlite", orders)
    assert not shop.said("database is locked")


def test_a_full_disk_is_said_and_survived_by_every_process(
    disk: Disk, start: Callable[..., Instance]
) -> None:
    instance = start(disk.folder)
    orders, before = [instance.order()], pids(instance)
    wait_until(lambda: instance.status(orders[0]) == "shipped", what="the first order shipped")

    disk.fill()
    wait_until(
        lambda: _answer(instance)["title"] == "Database cannot save",
        what="an order to be refused with the reason",
    )
    wait_until(lambda: _readiness(instance) == (503, "cannot save"), what="not to be ready")
    wait_until(
        lambda: instance.said("database.away") and instance.said("make room"),
        what="the relay to say so",
    )
    # Nothing is sent to the broker meanwhile, and it finds its disk full when it has to write.
    wait_until(
        lambda: _fills_its_disk(instance) and instance.said("MISCONF"),
        what="the broker to refuse too",
    )
    disk.make_room()

    refused: list[dict[str, Any]] = []
    orders += [patiently(instance, refused) for _ in range(5)]
    every_order_went_through_once(instance, f"sqlite:///{instance.data}/tidings.sqlite", orders)
    assert pids(instance) == before
    assert {each["title"] for each in refused} <= {"Database cannot save"}


def _answer(instance: Instance) -> dict[str, Any]:
    try:
        return {"title": f"accepted {instance.order()['number']}"}
    except httpx.HTTPStatusError as error:
        answer: dict[str, Any] = error.response.json()
        return answer


def _fills_its_disk(instance: Instance) -> bool:
    with Redis(unix_socket_path=str(DataDir(instance.data).broker_socket)) as client:
        try:
            client.set("filler", "x" * 100_000)
            client.delete("filler")
        except ResponseError:
            return True
    return False


def _readiness(instance: Instance) -> tuple[int, str]:
    try:
        return 200, instance.ask("/readyz")["database"]
    except httpx.HTTPStatusError as error:
        return error.response.status_code, error.response.json()["database"]


@pytest.fixture
def server(scratch: Path) -> Iterator[Postgres]:
    """A PostgreSQL server of its own."""
    server = Postgres(scratch / "restarted")
    yield server
    server.stop()


def test_a_restarted_postgres_is_survived_by_every_process(
    server: Postgres, start: Callable[..., Instance]
) -> None:
    instance = start(DATABASE_URL=server.url)
    before, refused, orders = pids(instance), [], []  # type: ignore[var-annotated]
    stop = threading.Event()

    def customer() -> None:
        while not stop.wait(0.1):
            orders.append(patiently(instance, refused))

    customers = [threading.Thread(target=customer) for _ in range(3)]
    for each in customers:
        each.start()
    for away in (0.5, 3.0):
        count = len(orders)
        wait_until(lambda count=count: len(orders) > count + 5, what="orders to come in")
        server.crash(away)
    stop.set()
    for each in customers:
        each.join(HANG)

    every_order_went_through_once(instance, server.url, orders)
    assert {each["title"] for each in refused} <= {"Database busy"}
    assert pids(instance) == before
