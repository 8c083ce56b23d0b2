"""Two workers of one gunicorn: one count of orders, and one limit on them."""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from events import Database
from tests.servers import Process, free_port, wait_until
from tests.web.payloads import order_payload
from tidings.http_client import open_client

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.system


@pytest.fixture
def run_web(any_database: Database, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Yield a function that starts gunicorn with these settings and returns its address."""
    started: list[Process] = []

    def run(**settings: str) -> str:
        port = free_port()
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(tmp_path),
            "SECRET_KEY": "only for tests",
            "DATABASE_URL": any_database.url.render_as_string(hide_password=False),
        }
        words = ["web:create_app()", "--config=python:web.gunicorn_config", "--workers=2"]
        words += ["--worker-class=gthread", "--no-control-socket", f"--bind=127.0.0.1:{port}"]
        (home := tmp_path / "web").mkdir()
        started.append(Process([sys.executable, "-m", "gunicorn", *words], home, env | settings))
        started[-1].launch()
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: started[-1].log().count("Booting worker") == 2, what="two workers")
        wait_until(lambda: _answers(address), what="an answer of the web")
        return address

    yield run
    for each in started:
        each.terminate()
        each.wait(within=30)


def _answers(address: str) -> bool:
    with open_client(address, timeout=2) as client:
        try:
            return client.get("/livez").is_success
        except httpx.HTTPError:
            return False


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
    given: bool, stocked_any: None, run_web: Callable[..., str], tmp_path: Path
):
    folder = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")} if given else {}
    address = run_web(**folder)

    assert _place(address, 30) == {202: 30}

    assert {_scraped(address) for _ in range(12)} == {30.0}


def test_the_limit_on_orders_is_one_for_all_workers(stocked_any: None, run_web: Callable[..., str]):
    address = run_web(RATE_LIMIT="10/hour")

    assert _place(address, 30) == {202: 10, 429: 20}
