"""The alerts: by page, API and command, in the same words."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert

from events import clock, reading, transaction
from events.alert_tables import Alert
from events.alerts.evaluation import INTERVAL, evaluate
from events.settings import settings as bus_settings
from events.testing import Bus
from tasks.settings import settings
from tests.events.alerts.alerting import only
from tests.tasks.gateways.receiver import Receiver, receiving
from tests.tidings.cli.calls import WHY, answered, audited, call, told
from tests.web.pages import OPS_HTML, audit_log, post, running_services
from tests.web.payloads import OPS

SECRET = "whsec_" + "a2tr" * 8


@pytest.fixture
def bus(environment: pytest.MonkeyPatch) -> Iterator[Bus]:
    only(environment, no_worker="120", dead="5")
    with running_services() as running:
        yield running
    bus_settings.cache_clear()


@pytest.fixture
def receiver(environment: pytest.MonkeyPatch, client: FlaskClient) -> Iterator[Receiver]:
    with receiving() as running:
        environment.setenv("ALERT_WEBHOOK_URL", running.url)
        environment.setenv("ALERT_WEBHOOK_SECRET", SECRET)
        environment.setenv("ALERT_WEBHOOK_NETWORKS", "127.0.0.0/8")
        settings.cache_clear()
        yield running
    settings.cache_clear()


def without_workers(bus: Bus) -> None:
    for _ in range(12):
        bus.clock.advance(INTERVAL)
        evaluate()


def test_page_api_and_command_tell_the_same(client: FlaskClient, bus: Bus):
    page = client.get("/ops/alerts", headers=OPS_HTML).text
    assert "Nothing is watched: no relay has looked at the rules for a minute" in page
    assert "nothing is watched" in told("alerts")
    evaluate()
    assert "No alert: none of the rules holds" in client.get("/ops/alerts", headers=OPS_HTML).text
    without_workers(bus)
    page = client.get("/ops/alerts", headers=OPS_HTML).text
    listed = client.get("/api/v1/alerts", headers=OPS).get_json()

    payment = next(each for each in listed["alerts"] if each["subject"] == "payment")
    assert (payment["rule"], payment["state"], payment["messages"]) == ("no worker", "firing", 1)
    assert payment["title"] == "Queue payment has no worker"
    assert "has no worker, and" in page
    assert "celery -A tasks worker -Q payment -n payment@%h" in page
    assert 'href="/ops/queues#queue-payment"' in page
    assert [rule["on"] for rule in listed["rules"]] == [False, True, False, True, False, False]
    assert "more than 5 dead letters" in page
    assert "Sent to nobody" in page
    command = answered("alerts", "list")
    assert command == answered("alerts")
    assert [each["title"] for each in command["alerts"]] == [
        each["title"] for each in listed["alerts"]
    ]
    assert command["rules"] == listed["rules"]
    assert "Queue payment has no worker" in told("alerts")


def test_what_an_alert_says_is_escaped(client: FlaskClient, bus: Bus):
    nasty = "E <script>\x1b[2J"
    values = {"rule": "new cause", "subject": "payment.charge_order", "cause": nasty}
    texts = {"title": "Deliveries die", "text": f"1 dead letter of this cause: {nasty}"}
    with transaction() as session:
        row = {**values, **texts, "state": "firing", "since": clock.now(), "messages": 1}
        session.execute(insert(Alert).values(row))

    page = client.get("/ops/alerts", headers=OPS_HTML).text
    assert "<script>\x1b" not in page
    assert "E &lt;script&gt;" in page
    assert "\x1b" not in told("alerts")


def test_the_preview_is_on_the_page_in_the_api_and_in_the_command(client: FlaskClient, bus: Bus):
    shown = client.get("/ops/alerts?preview=yes", headers=OPS_HTML).text
    api = client.get("/api/v1/alerts/preview", headers=OPS).get_json()

    assert "these rules would have raised 0 alerts, with 0 messages" in shown
    assert "no record is kept of the workers of the past" in shown
    assert api["alerts"] == []
    assert answered("alerts", "preview")["notes"] == api["notes"]
    assert "nothing would have been raised" in told("alerts", "preview")
    assert "Show the preview" in client.get("/ops/alerts", headers=OPS_HTML).text


def test_a_test_reaches_the_receivers_and_is_audited(
    client: FlaskClient, bus: Bus, receiver: Receiver
):
    page = post(client, "/ops/alerts", "/ops/alerts/test", OPS, reason="<b>new</b> channel").text
    assert "A test is on its way: webhook at 127.0.0.1." in page
    assert "dead_letters.post_alert" in page or "alert.raised" in page
    answer = client.post("/api/v1/alerts/test", headers=OPS, json={"why": "test"})
    assert answer.status_code == 202
    assert answer.get_json()["receivers"] == ["webhook at 127.0.0.1"]
    assert answer.get_json()["event_id"] in audited()[0][1]
    assert "the test is on its way: webhook" in told("alerts", "test", *WHY)
    bus.drain()

    assert len(receiver.requests) == 3
    assert b"Alert: A test of the alerts. Nothing is wrong" in receiver.requests[0][2]
    assert [act for _, act, _ in audit_log()] == ["test alerts"] * 3
    assert answered("alerts")["receivers"] == ["webhook at 127.0.0.1"]


def test_a_test_without_receivers_says_so(client: FlaskClient, bus: Bus):
    page = post(client, "/ops/alerts", "/ops/alerts/test", OPS, reason="x").text
    assert "no receiver is known here: set OPERATOR_EMAIL" in page
    assert "no receiver is known here" in told("alerts", "test", *WHY)
    assert client.post("/api/v1/alerts/test", headers=OPS, json={}).status_code == 422
    assert call("alerts", "test", "--why", " ").exit_code == 2
    assert client.get("/api/v1/alerts").status_code == 401
    with reading() as session:
        assert session.get(Alert, ("test", "test", "")) is None
