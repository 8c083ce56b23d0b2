"""Two workers of one web: one count of orders, one limit on them, one on failed logins."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import HANG
from tests.web.payloads import OPS_AUTH, order_payload
from tests.web.process import WebProcess
from tidings.http_client import open_client

pytestmark = pytest.mark.system


def _place(address: str, count: int) -> Counter[int]:
    """Place orders, each on a connection of its own, so that both workers get some."""
    statuses: Counter[int] = Counter()
    for _ in range(count):
        with open_client(address, timeout=HANG) as client:
            statuses[client.post("/api/v1/orders", json=order_payload()).status_code] += 1
    return statuses


def _failed_logins(address: str, count: int) -> Counter[int]:
    statuses: Counter[int] = Counter()
    for _ in range(count):
        with open_client(address, timeout=HANG) as client:
            statuses[client.get("/ops", auth=("ada", "wrong")).status_code] += 1
    return statuses


def _scraped(address: str) -> float:
    with open_client(address, timeout=HANG) as client:
        found = client.get("/metrics").text
    [value] = re.findall(r"^tidings_orders_accepted_total (\S+)$", found, re.MULTILINE)
    return float(value)


# Whether the folder of the counters is given has nothing to do with the database.
@pytest.mark.parametrize(
    ("given", "any_database"),
    [(True, "sqlite"), pytest.param(False, "postgres", marks=pytest.mark.slow)],
    indirect=["any_database"],
)
def test_two_workers_count_orders_and_limit_orders_and_failed_logins_as_one(
    given: bool, stocked_any: None, run_web: Callable[..., WebProcess], tmp_path: Path
):
    folder = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")} if given else {}
    address = run_web(workers=2, RATE_LIMIT="30/hour", OPS_AUTH=OPS_AUTH, **folder).address

    assert _place(address, 40) == {202: 30, 429: 10}
    assert {_scraped(address) for _ in range(12)} == {30.0}
    assert _failed_logins(address, 30) == {401: 10, 429: 20}
