"""Personal data stays in the database: logs, messages, metrics and titles contain none."""

import base64
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis.exceptions
from flask.testing import FlaskClient

import tasks.settings
import web
import web.settings
from events import Database, heartbeat, reading
from events.admin import dead_letters
from events.admin import queues as queue_admin
from tests.forked import ForkedProcess
from tests.servers import HANG, Process, Valkey, wait_until
from tests.tasks.conftest import queues
from tests.tasks.mailserver import MailServer
from tidings.migrations.run import migrate

ROOT = Path(__file__).parents[2]
OPS = "ada:correct horse battery"
MARKS = (
    "hopper",
    "navy.example",
    "rzburg",
    "arlingtown",
    "22201-x",
    "netscape",
    "tok_flaky",
    "tok_declined",
    "moving house",
)
CUSTOMER = {
    "customer": {"name": "Grace Brewster Hopper", "email": "grace.hopper@navy.example"},
    "items": [{"sku": "MUG-BLUE", "quantity": 1}],
    "shipping_address": {
        "line1": "17 Würzburg Lane",
        "line2": "",
        "city": "Arlingtown",
        "postcode": "22201-X",
        "country": "US",
    },
}
pytestmark = pytest.mark.system


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A mail server that names the recipient when it refuses."""
    server = MailServer()
    server.start()
    server.refuse_recipients = (
        "550 5.1.1 <grace.hopper@navy.example> Grace Brewster Hopper is unknown here"
    )
    yield server
    server.stop()


@pytest.fixture
def env(tmp_path: Path, valkey_url: str, mail_server: MailServer) -> dict[str, str]:
    """The environment of all processes, with the most verbose log."""
    return {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'tidings.sqlite'}",
        "BROKER_URL": valkey_url,
        "SMTP_URL": mail_server.url,
        "SECRET_KEY": "9f2c7d41a6e85b03",
        "OPS_AUTH": OPS,
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def shop(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """The web on a migrated database."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for settings in (tasks.settings.settings, web.settings.settings):
        settings.cache_clear()
    database = Database(env["DATABASE_URL"])
    monkeypatch.setattr("events.database._database", database)
    migrate(database)
    yield web.create_app().test_client()
    database.close()
    for settings in (tasks.settings.settings, web.settings.settings):
        settings.cache_clear()


@contextmanager
def overheard(valkey: Valkey) -> Iterator[list[str]]:
    """Record everything that is sent to the broker: messages, headers, and events for Flower."""
    said: list[str] = []
    with valkey.client() as client, client.monitor() as monitor:

        def listen() -> None:
            try:
                said.extend(map(repr, monitor.listen()))
            except (redis.exceptions.RedisError, OSError, ValueError):
                return  # the test is over

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield said
        finally:
            monitor.connection.disconnect()
            listener.join(HANG)


@pytest.fixture
def processes(env: dict[str, str], shop: FlaskClient, tmp_path: Path) -> Iterator[list[Process]]:
    """A relay and a worker on all queues."""
    worker = [
        "celery",
        "-A",
        "tasks",
        "worker",
        "-Q",
        ",".join(queues()),
        "-n",
        "all@test",
        "-c",
        "1",
        "-l",
        "debug",
        "--without-mingle",
    ]
    started: list[Process] = []
    for name, command in (("relay", ["tidings", "relay"]), ("worker", worker)):
        (tmp_path / name).mkdir()
        started.append(ForkedProcess(command, tmp_path / name, os.environ | env))
        started[-1].launch()
    yield started
    for each in started:
        each.kill()


def test_what_a_customer_tells_is_in_no_log_no_message_no_metric_and_no_title(
    shop: FlaskClient,
    processes: list[Process],
    valkey: Valkey,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    wait_until(lambda: _alive() == {"relay", "worker"}, what="relay and worker")
    with overheard(valkey) as said:
        orders = [_order(shop, token) for token in ("tok_ok", "tok_flaky", "tok_declined")]
        shop.post(
            f"/api/v1/orders/{orders[0]['id']}/cancel",
            json={"reason": "moving house"},
            headers=_bearer(orders[0]),
        )
        shop.post("/api/v1/orders", json=CUSTOMER | {"payment_token": "tok_declined", "items": []})
        wait_until(_all_is_over, what="everything handled or dead")
        metrics = shop.get("/metrics").text
        family = [each for process in processes for each in _family(process)]
        titles = "\n".join(" ".join(each.cmdline()) for each in family)

    logs = "\n".join(process.log() for process in processes)
    out = capfd.readouterr()
    # "mail.log" is the mail server of this test.
    records = [each.getMessage() for each in caplog.records if each.name != "mail.log"]
    assert "email.confirm_receipt" in logs
    messages = _read("\n".join(said))
    assert f"order.created {orders[0]['number']}" in messages
    assert "task-retried" in messages
    assert "tidings_deliveries" in metrics
    web = "\n".join((*records, out.out, out.err))
    places = {"logs": logs, "broker": messages, "metrics": metrics, "titles": titles, "web": web}
    assert {name: _marks_in(text) for name, text in places.items() if _marks_in(text)} == {}


def _marks_in(text: str) -> list[str]:
    return [mark for mark in MARKS if mark in text.lower()]


def _read(said: str) -> str:
    """Return the text with its base64 parts decoded: kombu encodes bodies."""
    parts = re.findall(r"[A-Za-z0-9+/]{24,}={0,2}", said)
    return "\n".join(
        [
            said,
            *(
                base64.b64decode(part + "==").decode(errors="replace")
                for part in parts
                if len(part.rstrip("=")) % 4 != 1
            ),
        ]
    )


def _alive() -> set[str]:
    with reading() as session:
        return {each.kind for each in heartbeat.alive(session)}


def _order(shop: FlaskClient, token: str) -> Any:
    answer = shop.post(
        "/api/v1/orders",
        json=CUSTOMER | {"payment_token": token},
        headers={"User-Agent": "Netscape/4.7"},
    )
    assert answer.status_code == 202, answer.text
    return answer.json


def _bearer(order: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {order['token']}"}


def _all_is_over() -> bool:
    """Return true if every mail was refused for good and nothing is open."""
    with reading() as session:
        is_open = any(each.open for each in queue_admin.overview(session)) or queue_admin.unrelayed(
            session
        )
        return dead_letters.count(session) >= 3 and not is_open


def _family(process: Process) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]
