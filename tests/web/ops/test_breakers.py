"""The circuit breakers: by page, API and command, in the same words."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from events import breakers, clock, transaction
from events.attempts import Failure
from events.breakers import CALLS, State
from tests.tidings.cli.calls import WHY, answered, audited, call, told
from tests.web.pages import OPS_HTML, audit_log, place_order, post, running_services
from tests.web.payloads import OPS
from tidings.cli.exit_codes import NOTHING_FOUND


@pytest.fixture
def services() -> Iterator[None]:
    with running_services():
        yield


def outage(error: str = "no <route>") -> None:
    """Let the payment be unavailable to so many deliveries that earlier answers do not matter."""
    for number in range(CALLS):
        failure = Failure(ConnectionError(error), worker="w", started_at=clock.now())
        with transaction() as session:
            breakers.note_unavailable(session, "payment", f"{number}:payment.charge_order", failure)


def state(dependency: str = "payment") -> str:
    with transaction() as session:
        return breakers.lock(session, dependency).state


def test_page_api_and_command_tell_the_same(client: FlaskClient, services: None):
    outage()
    page = client.get("/ops/breakers", headers=OPS_HTML).text
    listed = client.get("/api/v1/breakers", headers=OPS).get_json()["breakers"]

    assert [(each["dependency"], each["state"]) for each in listed] == [
        ("payment", "open"),
        ("carrier", "closed"),
        ("smtp", "closed"),
        ("webhook", "closed"),
    ]
    payment = listed[0]
    assert payment["error"] == "ConnectionError: no <route>"
    assert payment["next_probe_at"] > payment["since"]
    assert "payment.charge_order" in payment["subscriptions"]
    assert "Deliveries wait for payment" in page
    assert "no &lt;route&gt;" in page
    assert [each["dependency"] for each in answered("breakers")] == [
        *("payment", "carrier", "smtp", "webhook")
    ]
    assert answered("breakers", "list") == answered("breakers")
    assert "ConnectionError: no <route>" in told("breakers")


def test_an_open_breaker_is_on_the_overview_and_in_the_metrics(client: FlaskClient, services: None):
    assert "The breaker of" not in client.get("/ops", headers=OPS_HTML).text
    outage()

    assert "The breaker of payment is open" in client.get("/ops", headers=OPS_HTML).text
    metrics = client.get("/metrics", headers=OPS).text
    assert 'tidings_breaker{dependency="payment",state="open"} 1.0' in metrics
    assert 'tidings_breaker{dependency="payment",state="closed"} 0.0' in metrics
    assert 'tidings_breaker{dependency="smtp",state="closed"} 1.0' in metrics


def test_a_breaker_is_half_open_while_its_probe_is_under_way(client: FlaskClient, services: None):
    outage()
    with transaction() as session:
        row = breakers.lock(session, "payment")
        row.probe, row.probe_at = "x:payment.charge_order", clock.now()

    assert answered("breakers")[0]["state"] == "half-open"
    assert "</svg> half-open</span>" in client.get("/ops/breakers", headers=OPS_HTML).text


def test_an_operator_holds_and_closes_it_with_a_reason(client: FlaskClient):
    with running_services() as bus:
        hold = post(
            client, "/ops/breakers", "/ops/breakers/payment/hold", OPS, reason="<b>bank</b> holiday"
        ).text
        place_order(client)
        bus.drain()
        [line] = [each for each in answered("breakers") if each["dependency"] == "payment"]
        page = client.get("/ops/breakers", headers=OPS_HTML).text
        again = post(client, "/ops/breakers", "/ops/breakers/payment/hold", OPS, reason="x").text
        post(client, "/ops/breakers", "/ops/breakers/payment/close", OPS, reason="over")
        bus.drain()

    assert "by ada: &lt;b&gt;bank&lt;/b&gt; holiday" in hold
    assert (line["state"], line["waiting"], line["next_probe_at"]) == ("on hold", 1, None)
    assert "</svg> on hold</span>" in page
    assert "Nothing was changed" in again
    assert [act for _, act, _ in audit_log()] == ["close breaker", "hold breaker"]
    assert answered("breakers")[0]["state"] == "closed"


def test_the_api_holds_and_closes_it(client: FlaskClient, services: None):
    because = {"headers": OPS, "json": {"why": "maintenance"}}

    assert client.post("/api/v1/breakers/smtp/hold", **because).json == {"changed": 1}
    assert client.post("/api/v1/breakers/smtp/hold", **because).json == {"changed": 0}
    assert state("smtp") == State.ON_HOLD
    assert client.post("/api/v1/breakers/smtp/close", **because).json == {"changed": 1}
    assert client.post("/api/v1/breakers/smtp/close", **because).json == {"changed": 0}
    assert state("smtp") == State.CLOSED


def test_the_command_holds_and_closes_it(client: FlaskClient, services: None):
    told("breakers", "hold", "carrier", *WHY)
    assert state("carrier") == State.ON_HOLD
    assert call("breakers", "hold", "carrier", *WHY).exit_code == NOTHING_FOUND
    told("breakers", "close", "carrier", *WHY)
    assert state("carrier") == State.CLOSED

    assert audited() == [
        ("close breaker", "carrier", "test"),
        ("hold breaker", "carrier", "test"),
    ]


def test_an_unknown_dependency_is_refused_with_those_that_there_are(
    client: FlaskClient, services: None
):
    refused = client.post("/api/v1/breakers/fax/hold", headers=OPS, json={"why": "x"})
    assert refused.status_code == 404
    assert refused.json
    assert "carrier, payment, smtp, webhook" in refused.json["detail"]
    refused_page = post(client, "/ops/breakers", "/ops/breakers/fax/hold", OPS, reason="x")
    assert refused_page.status_code == 404
    command = call("breakers", "hold", "fax", *WHY)
    assert command.exit_code == 1
    assert "carrier, payment, smtp, webhook" in command.stderr
    assert answered("breakers")[0]["state"] == "closed"


def test_the_api_requires_the_login(client: FlaskClient):
    assert client.get("/api/v1/breakers").status_code == 401
    assert client.post("/api/v1/breakers/smtp/hold", json={"why": "x"}).status_code == 401


def test_the_automatic_replay_is_switched_off_and_on(client: FlaskClient, services: None):
    def replays() -> list[bool]:
        return [each["replays"] for each in answered("breakers") if each["dependency"] == "smtp"]

    assert replays() == [True]
    told("breakers", "replays", "smtp", "off", *WHY)
    assert replays() == [False]
    assert call("breakers", "replays", "smtp", "off", *WHY).exit_code == NOTHING_FOUND
    page = post(client, "/ops/breakers", "/ops/breakers/smtp/replays/on", OPS, reason="x").text
    assert "The automatic replay of smtp is switched on." in page
    off = {"on": False, "why": "maintenance"}
    address = "/api/v1/breakers/smtp/replays"
    assert client.post(address, headers=OPS, json=off).json == {"changed": 1}
    assert replays() == [False]
    assert client.post(address, headers=OPS, json={"why": "x"}).status_code == 422
