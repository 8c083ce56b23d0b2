"""/livez, /readyz and /metrics."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

import events.database
from events import Database, heartbeat, transaction
from events.admin import subscriptions
from events.subscriptions import Subscription
from events.tables import QueueTrouble
from events.testing import Bus
from tests.tasks.conftest import services
from tests.web.payloads import order_payload


def _metrics(client: FlaskClient) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def broken(client: FlaskClient) -> Iterator[FlaskClient]:
    """A client while the database cannot be reached."""
    previous = events.database.database()
    unreachable = Database("postgresql://nobody@127.0.0.1:1/nothing")
    events.database.use(unreachable)
    yield client
    unreachable.close()
    events.database.use(previous)


def test_it_is_alive_whatever_the_database_does(broken: FlaskClient):
    assert (broken.get("/livez").status_code, broken.get("/livez").json) == (
        200,
        {"status": "alive"},
    )


def test_it_is_not_ready_without_its_database(broken: FlaskClient):
    answer = broken.get("/readyz")

    assert (answer.status_code, answer.json) == (503, {"status": "not ready", "database": "down"})


def test_an_order_without_a_database_is_text_to_try_again(broken: FlaskClient):
    answer = broken.post("/api/v1/orders", json=order_payload())

    assert (answer.status_code, answer.content_type, answer.headers["Retry-After"]) == (
        503,
        "application/problem+json",
        "1",
    )


def test_it_is_ready_when_no_relay_runs_and_says_so(client: FlaskClient):
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json) == (
        200,
        {"status": "ready", "database": "up", "relay": "down", "broker": "unknown"},
    )


@pytest.mark.parametrize(("trouble", "broker"), [(None, "up"), ("connection refused", "down")])
def test_a_broker_that_is_down_is_text_and_not_fatal(
    client: FlaskClient, trouble: str | None, broker: str
):
    heartbeat.beat("relay@here", "relay", trouble=trouble)

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json["relay"], answer.json["broker"]) == (200, "up", broker)


FULL: QueueTrouble = {"reason": "is full", "fix": "start workers for it"}


def test_a_queue_that_the_broker_refuses_is_named_with_its_fix_and_the_broker_is_up(
    client: FlaskClient,
):
    heartbeat.beat("relay@here", "relay", queue_troubles={"payment": FULL})

    assert client.get("/readyz").json == {
        "status": "ready",
        "database": "up",
        "relay": "up",
        "broker": "up",
        "queues": {"payment": FULL},
    }
    assert _metrics(client)["tidings_queue_refused", *sorted([*FULL.values(), "payment"])] == 1


def test_a_broker_in_alarm_is_blocked_and_not_down(client: FlaskClient):
    heartbeat.beat("relay@here", "relay", trouble="out of memory; free some", blocked=True)

    answer = client.get("/readyz")

    assert (answer.json["relay"], answer.json["broker"]) == ("up", "blocked")
    assert answer.json["trouble"] == "out of memory; free some"
    assert _metrics(client)["tidings_relays", "blocked", "out of memory; free some"] == 1


def test_a_relay_that_hears_no_notifications_is_said_and_not_fatal(client: FlaskClient):
    heartbeat.beat("relay@here", "relay", deaf="LISTEN does not work through a pooler")

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json["notifications"]) == (200, "unheard")


def test_accepted_orders_are_counted_once(client: FlaskClient):
    before = _metrics(client).get(("tidings_orders_accepted_total",), 0.0)

    for _ in range(2):
        client.post("/api/v1/orders", json=order_payload(), headers={"Idempotency-Key": "k"})
    client.post("/api/v1/orders", json={})

    assert _metrics(client)["tidings_orders_accepted_total",] == before + 1


def test_latency_is_measured_by_endpoint_and_not_by_path(client: FlaskClient):
    client.get("/nothing/1")
    client.open("/nothing/2", method="MADE-UP")

    measured = _metrics(client)

    assert ("tidings_request_seconds_count", "404", "any", "none") in measured
    assert not [key for key in measured if "MADE-UP" in key or "/nothing/1" in key]


def test_the_ledger_is_text_at_each_scrape(client: FlaskClient):
    order = order_payload() | {"payment_token": "tok_broken"}
    client.post("/api/v1/orders", json=order)
    assert _metrics(client)["tidings_unrelayed_events",] == 1

    with Bus(fail_fast=False) as bus:
        bus.drain()
        retrying = _metrics(client)
        for _ in range(10):
            bus.advance(3600)
        dead = _metrics(client)

    assert retrying["tidings_unrelayed_events",] == 0
    assert retrying["tidings_deliveries", "payment", "payment.charge_order", "retrying"] == 1
    assert dead["tidings_deliveries", "dead", "payment", "payment.charge_order"] == 1


def test_metrics_hold_no_personal_data(client: FlaskClient):
    client.post("/api/v1/orders", json=order_payload())

    text = client.get("/metrics").text

    assert "ada" not in text.lower()
    assert "127.0.0.1" not in text


def test_a_queue_whose_worker_consumes_nothing_is_named_and_counts_none(
    client: FlaskClient,
):
    with transaction() as session:
        subscriptions.register(session, [payment_of_the_shop()])
    heartbeat.beat("relay@here", "relay")
    heartbeat.beat("payment@here", "worker", [])

    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["queues_without_worker"] == ["payment"]
    assert _metrics(client)["tidings_workers", "payment"] == 0

    heartbeat.beat("payment@here", "worker", ["payment"])
    assert "queues_without_worker" not in (client.get("/readyz").json or {})


def payment_of_the_shop() -> Subscription:
    return next(each for each in services() if each.name == "payment.charge_order")
