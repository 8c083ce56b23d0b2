"""Two workers of one web: one count of orders, one limit on them, one on failed logins."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.payloads import OPS_AUTH, order_payload
from tests.web.process import WebProcess
from tidings.http_client import open_client

pytestmark = pytest.mark.system


def _place(address: str, count: int) -> Counter[int]:
    """Place orders, each on a connection of its own, so that both workers get some."""
    statuses: Counter[int] = Counter()
    for _ in range(count):
        with open_client(address, timeout=10) as client:
            statuses[client.post("/api/v1/orders", json=order_payload()).status_code] += 1
    return statuses


def _scraped(address: str) -> float:
    with open_client(address, timeout=10) as client:
        found = client.get("/metrics").text
    [value] = re.findall(r"^tidings_orders_accepted_total (\S+)$", found, re.MULTILINE)
    return float(value)


@pytest.mark.parametrize("given", [True, False])
def test_every_scrape_tells_the_orders_of_all_workers(
    given: bool, stocked_any: None, run_web: Callable[..., WebProcess], tmp_path: Path
):
    folder = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")} if given else {}
    address = run_web(workers=2, **folder).address

    assert _place(address, 30) == {202: 30}

    assert {_scraped(address) for _ in range(12)} == {30.0}


def test_the_limit_on_orders_is_one_for_all_workers(
    stocked_any: None, run_web: Callable[..., WebProcess]
):
    address = run_web(workers=2, RATE_LIMIT="10/hour").address

    assert _place(address, 30) == {202: 10, 429: 20}


def test_the_limit_on_failed_logins_is_one_for_all_workers(
    stocked_any: None, run_web: Callable[..., WebProcess]
):
    address = run_web(workers=2, OPS_AUTH=OPS_AUTH).address
    statuses: Counter[int] = Counter()
    for _ in range(30):
        with open_client(address, timeout=10) as client:
            statuses[client.get("/ops", auth=("ada", "wrong")).status_code] += 1

    assert statuses == {401: 10, 429: 20}
