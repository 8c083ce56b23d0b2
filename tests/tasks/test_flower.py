"""Flower with the app of the shop: read-only, in no frame, and its login from a file."""

import html
import os
import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from events import Database, heartbeat, reading, transaction
from events.admin import queues, subscriptions
from events.tables import Attempt
from tasks import placing
from tests import forked
from tests.forked import ForkedProcess
from tests.servers import HANG, Process, free_port, wait_until
from tests.tasks.builders import place_order, stocked
from tests.tasks.conftest import services
from tidings import migrations
from tidings.http_client import open_client

migrations.load_tables()  # the workers use the tables of every part
pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
CELERY = ["celery", "-A", "tasks"]
Start = Callable[..., Process]


@pytest.fixture
def environment(database: Database, valkey_url: str) -> dict[str, str]:
    with database.transaction() as session:
        subscriptions.register(session, services())
    url = database.url.render_as_string()
    return {**os.environ, "DATABASE_URL": url, "BROKER_URL": valkey_url, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts a command of Celery and ends it after the test."""
    started: list[Process] = []

    def run(name: str, *words: str, **variables: str) -> Process:
        home = tmp_path / name
        home.mkdir()
        command, env = [*CELERY, *words], environment | variables
        process = (
            Process([sys.executable, "-m", *command], home, env)
            if name == "flower"  # it reads its logins when `tasks.celery` is imported
            else ForkedProcess(command, home, env)
        )
        process.launch()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()


def flower(start: Start, **variables: str) -> str:
    """Start Flower; return its address when it knows the worker."""
    port = free_port()
    process = start("flower", "flower", "--address=127.0.0.1", f"--port={port}", **variables)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with open_client(url, timeout=HANG) as client:
                return client.get("/healthcheck").status_code == 200
        except httpx.HTTPError:
            return False

    wait_until(lambda: answers() or not process.running(), what="Flower")
    assert process.running(), process.log()
    return url


def row_of_a_batch(client: httpx.Client, start: Start, *, auth: tuple[str, str]) -> str:
    """Have cards charged in one message, of which some fail; return its page in Flower."""
    with transaction() as session:
        stocked(session, MUG=10)
        for token in ("tok_ok", "tok_broken") * 4:
            placing.place(session, place_order(token, MUG=1))
    start("relay", "tidings", "relay")

    def task_id() -> str | None:
        with reading() as session:
            return session.scalar(select(Attempt.task_id).order_by(Attempt.id))

    wait_until(task_id, what="the failed attempt")

    def page() -> str:
        return client.get(f"/task/{task_id()}", auth=auth).text

    wait_until(lambda: "sent again" in page(), what="the task in Flower")
    return html.unescape(page())


def served() -> dict[str, int]:
    with reading() as session:
        return {each.name: each.workers for each in queues.overview(session)}


def test_flower_shows_itself_in_no_frame_and_changes_nothing(start: Start, tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text("ada:correct horse:operator,bob:battery:viewer\n")
    start("worker", "worker", "-Q", "payment,shipping", "-n", "both@test", "--pool=solo")
    wait_until(lambda: served()["payment"] == 1, what="the worker")
    url = flower(start, OPS_AUTH_FILE=str(login), PUBLIC_URL="https://shop.example")

    with open_client(url, timeout=HANG) as client:
        assert client.get("/workers").status_code == 401
        assert client.get("/workers", auth=("bob", "battery")).status_code == 401
        page = client.get("/workers", auth=("ada", "correct horse"))
        cancel = client.post(
            "/api/worker/queue/cancel-consumer/both@test",
            params={"queue": "payment"},
            auth=("ada", "correct horse"),
        )
        row = row_of_a_batch(client, start, auth=("ada", "correct horse"))

    assert re.search(r"order\.created ORD-1001 and \d more", row)
    assert re.search(r"https://shop.example/ops/tasks/[0-9a-f-]{36}:payment.charge_order:1", row)
    assert re.search(r"is sent again by the ledger: \d handled, \d retrying: GatewayError", row)
    assert "RETRY" in row
    assert page.status_code == 200
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert cancel.status_code == 403
    assert cancel.headers["X-Frame-Options"] == "DENY"
    assert served()["payment"] == 1


def test_flower_does_not_start_open_when_it_can_take_no_login(start: Start) -> None:
    process = start("flower", "flower", OPS_AUTH="ada:sesame street:viewer", FLOWER_BASIC_AUTH="")

    wait_until(lambda: not process.running(), what="the end of Flower")

    assert "Flower takes no login of OPS_AUTH" in process.log()


def test_empty_variables_of_flower_count_as_unset_and_space_is_no_part_of_them(
    start: Start,
) -> None:
    empty = dict.fromkeys(("FLOWER_PORT", "FLOWER_URL_PREFIX", "FLOWER_MAX_TASKS"), " \r")

    url = flower(start, **empty, FLOWER_BASIC_AUTH="ops:sesame", FLOWER_DB="flower\r")

    with open_client(url, timeout=HANG, auth=("ops", "sesame")) as client:
        assert client.get("/workers").status_code == 200


@pytest.mark.slow
def test_a_queue_whose_consumer_was_cancelled_is_one_without_a_worker(
    start: Start, environment: dict[str, str]
) -> None:
    worker = start("worker", "worker", "-Q", "payment,shipping", "-n", "both@test", "--pool=solo")
    wait_until(lambda: served()["payment"] == served()["shipping"] == 1, what="the worker")

    control(environment, "cancel_consumer", "payment")

    wait_until(lambda: served()["payment"] == 0, what="a heartbeat without the queue")
    assert served()["shipping"] == 1
    assert worker.running()

    control(environment, "add_consumer", "payment")
    wait_until(lambda: served()["payment"] == 1, what="a heartbeat with the queue")


@pytest.mark.slow
def test_a_worker_of_one_queue_that_consumes_none_is_alive_and_serves_none(
    start: Start, environment: dict[str, str]
) -> None:
    start("worker", "worker", "-Q", "payment", "-n", "payment@test", "--pool=solo")
    wait_until(lambda: served()["payment"] == 1, what="the worker")

    control(environment, "cancel_consumer", "payment")

    wait_until(lambda: served()["payment"] == 0, what="a heartbeat without a queue")
    with reading() as session:
        [worker] = [each for each in heartbeat.alive(session) if each.kind == "worker"]
    assert (worker.name, worker.queues) == ("payment@test", [])
    assert worker.version == metadata.version("tidings")


def control(environment: dict[str, str], *words: str) -> None:
    done = forked.run(*CELERY, "control", *words, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
