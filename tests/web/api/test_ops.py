"""The operators' API: orders, events, dead letters, subscriptions, queues."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from events import heartbeat, reading, subscriptions
from events.admin import audit
from events.testing import Bus
from tests.web.payloads import OPS, order_payload

UNKNOWN = "01a2078e-dbc3-70e2-bd43-ff936927098b"


class Operator:
    """A client with the ops login."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **query: object) -> Any:
        answer = self.client.get(path, query_string=query or None, headers=OPS)
        assert answer.status_code == 200, answer.text
        return answer.json

    def post(self, path: str, json: dict[str, Any] | None = None, status: int = 200) -> Any:
        answer = self.client.post(path, json=json, headers=OPS)
        assert answer.status_code == status, answer.text
        return answer.json


@pytest.fixture
def operator(any_app: Flask) -> Operator:
    return Operator(any_app.test_client())


@pytest.fixture
def bus(operator: Operator) -> Iterator[Bus]:
    services = [
        each
        for each in subscriptions.registered().values()
        if each.queue in ("inventory", "payment", "orders")
    ]
    with Bus(subscriptions=services, fail_fast=False) as bus:
        yield bus


def _order(operator: Operator, payment_token: str = "tok_ok") -> Any:
    answer = operator.client.post(
        "/api/v1/orders", json=order_payload() | {"payment_token": payment_token}
    )
    assert answer.status_code == 202
    return answer.json


def _dead(operator: Operator, bus: Bus) -> Any:
    """Place an order whose payment becomes a dead letter."""
    order = _order(operator, "tok_broken")
    for _ in range(10):
        bus.advance(3600)
    return order


def test_orders_are_listed_page_by_page_newest_first(operator: Operator):
    numbers = [_order(operator)["number"] for _ in range(5)]

    first = operator.get("/api/v1/orders", limit=3)
    rest = operator.get(first["next"])

    assert [order["number"] for order in first["orders"] + rest["orders"]] == numbers[::-1]
    assert rest["next"] is None
    assert "token" not in first["orders"][0]


def test_events_are_listed_as_cloudevents_and_can_be_filtered(operator: Operator, bus: Bus):
    number = _order(operator)["number"]
    _order(operator)
    bus.drain()

    [created] = operator.get("/api/v1/events", type="order.created", subject=number)["events"]
    about = operator.get("/api/v1/events", subject=number)["events"]
    first = operator.get("/api/v1/events", limit=2)
    second = operator.get(first["next"])

    assert (created["specversion"], created["type"], created["subject"], created["source"]) == (
        "1.0",
        "order.created",
        number,
        "/web",
    )
    assert created["data"]["number"] == number
    assert len(about) > 1
    assert {each["subject"] for each in about} == {number}
    assert not {each["id"] for each in first["events"]} & {each["id"] for each in second["events"]}


def test_a_dead_letter_is_shown_with_its_group(operator: Operator, bus: Bus):
    order = _dead(operator, bus)

    shown = operator.get("/api/v1/dead-letters", queue="payment")

    [letter] = shown["dead_letters"]
    assert (letter["subscription"], letter["event_type"], letter["subject"]) == (
        "payment.charge_order",
        "order.created",
        order["number"],
    )
    [group] = [each for each in shown["groups"] if each["queue"] == "payment"]
    assert (group["fingerprint"], group["count"]) == (letter["fingerprint"], 1)
    held_up = group["impact"]
    assert (held_up["orders"], held_up["oldest"]) == (1, order["number"])
    assert (held_up["money"], held_up["estimated"]) == ([order["total"]], False)
    assert shown["impact"] == held_up
    assert operator.get("/api/v1/dead-letters", queue="shipping")["dead_letters"] == []


def test_a_dead_letter_is_replayed_once_and_the_audit_says_by_whom_and_why(
    operator: Operator, bus: Bus
):
    _dead(operator, bus)
    [letter] = operator.get("/api/v1/dead-letters", queue="payment")["dead_letters"]

    assert operator.post(f"/api/v1/dead-letters/{letter['id']}/replay", {"reason": "fixed"}) == {
        "changed": 1
    }

    assert operator.get("/api/v1/dead-letters", queue="payment")["dead_letters"] == []
    operator.post(f"/api/v1/dead-letters/{letter['id']}/replay", {"reason": "again"}, status=409)
    with reading() as session:
        entry = audit.listed(session)[0]
    assert (entry.who, entry.action, entry.why) == ("ada", "replay", "fixed")
    assert entry.target == letter["id"]


def test_a_dead_letter_is_discarded(operator: Operator, bus: Bus):
    _dead(operator, bus)
    [letter] = operator.get("/api/v1/dead-letters", queue="payment")["dead_letters"]

    discard = f"/api/v1/dead-letters/{letter['id']}/discard"
    assert operator.post(discard, {"reason": "no such card"}) == {"changed": 1}
    bus.advance(3600)
    assert operator.get("/api/v1/dead-letters", queue="payment")["dead_letters"] == []


@pytest.mark.parametrize("act", ["replay", "discard"])
def test_a_whole_group_is_settled_at_once(operator: Operator, bus: Bus, act: str):
    for _ in range(3):
        _order(operator, "tok_broken")
    _dead(operator, bus)
    [group] = [
        each
        for each in operator.get("/api/v1/dead-letters")["groups"]
        if each["queue"] == "payment"
    ]

    selected = {"fingerprint": group["fingerprint"], "queue": "payment", "reason": "test"}
    status = 202 if act == "replay" else 200
    settled = operator.post(f"/api/v1/dead-letters/{act}", selected, status=status)

    assert settled.get("changed", settled.get("total")) == 4


@pytest.mark.parametrize("act", ["replay", "discard"])
def test_everything_is_never_settled_by_accident(operator: Operator, act: str):
    for body in (
        None,
        {},
        {"reason": "all of them"},
        {"ids": [], "reason": "all of them"},
        {"queue": None, "reason": "all of them"},
        {"everything": False, "reason": "all of them"},
        {"everything": True, "queue": "payment", "reason": "all of them"},
        {"ids": [f"{UNKNOWN}:payment.x"], "queue": "payment", "reason": "x"},
        {"ids": [f"{UNKNOWN}:payment.x"], "everything": True, "reason": "x"},
    ):
        assert (
            operator.post(f"/api/v1/dead-letters/{act}", body, status=422)["title"]
            == "Invalid input"
        )


def test_everything_is_settled_when_it_is_selected(operator: Operator, bus: Bus):
    _dead(operator, bus)

    everything = {"everything": True, "reason": "test"}
    assert operator.post("/api/v1/dead-letters/discard", everything)["changed"] >= 1
    assert operator.get("/api/v1/dead-letters")["dead_letters"] == []


def test_a_paused_subscription_keeps_its_backlog_until_it_is_resumed(operator: Operator, bus: Bus):
    paused = operator.post(
        "/api/v1/subscriptions/payment.charge_order/pause", {"reason": "bank holiday"}
    )
    order = _order(operator)
    bus.drain()
    waiting = operator.get(order["links"]["self"])
    resumed = operator.post("/api/v1/subscriptions/payment.charge_order/resume", {"reason": "over"})
    bus.drain()

    assert (paused["paused_by"], paused["paused_why"]) == ("ada", "bank holiday")
    assert (waiting["stock"], waiting["payment"]) == ("reserved", "waiting")
    assert resumed["paused_at"] is None
    assert operator.get(order["links"]["self"])["payment"] == "charged"


def test_subscriptions_are_listed_with_their_policies(operator: Operator, bus: Bus):
    [charge] = [
        each
        for each in operator.get("/api/v1/subscriptions")["subscriptions"]
        if each["name"] == "payment.charge_order"
    ]

    assert charge["queue"] == "payment"
    assert charge["event_types"] == ["order.created"]
    assert charge["policy"]["attempts"] == 8
    assert charge["policy"]["text"] == '8 attempts within 39 sec; "not now" for 24 hr'


def test_the_catalog_lists_each_event_with_its_subscribers_and_their_retries(
    operator: Operator, bus: Bus
):
    events = operator.get("/api/v1/catalog")["events"]
    first, newest = [each for each in events if each["type"] == "order.created"]

    assert (first["version"], first["subscribers"]) == (1, [])
    retried = {each["name"]: each["policy"]["give_up_after"] for each in newest["subscribers"]}
    assert retried["payment.charge_order"] == 86_400
    assert "shipping_address" in newest["data_schema"]["properties"]


def test_queues_are_listed_with_backlog_and_workers(operator: Operator, bus: Bus):
    heartbeat.beat("payment@here", "worker", ["payment"])
    operator.post("/api/v1/subscriptions/payment.charge_order/pause", {"reason": "test"})
    _order(operator)
    bus.drain()

    queues = {each["name"]: each for each in operator.get("/api/v1/queues")["queues"]}

    payment, stock = queues["payment"], queues["inventory"]
    assert (payment["waiting"], payment["paused"], payment["workers"]) == (1, True, 1)
    assert payment["oldest"] >= 0
    assert (stock["waiting"], stock["oldest"]) == (0, None)


WRONG_REQUESTS = {
    "POST /api/v1/subscriptions/payment.nothing/pause": 404,
    "POST /api/v1/subscriptions/payment.nothing/resume": 404,
    "POST /api/v1/subscriptions/%00/pause": 422,
    "POST /api/v1/dead-letters/00000000-0000-7000-8000-000000000000:payment.x/replay": 404,
    "POST /api/v1/dead-letters/------------------------------------:payment.x/replay": 404,
    "POST /api/v1/dead-letters/nonsense/discard": 422,
    "GET /api/v1/orders?limit=0": 422,
    "GET /api/v1/orders?limit=100000": 422,
    "GET /api/v1/orders?before=99999999999999999999": 422,
    "GET /api/v1/orders?before=x": 422,
    "GET /api/v1/orders?befor=1": 422,
    "GET /api/v1/orders?limit=1&limit=2": 422,
    "GET /api/v1/events?subject=%00": 422,
    "GET /api/v1/dead-letters?queue=%00": 422,
    "GET /api/v1/dead-letters?fingerprint=%F0%28%8C%28": 200,
}


def test_a_wrong_request_is_a_problem(operator: Operator):
    bodies = {"POST": {"reason": "test"}}
    answers = {
        request: operator.client.open(address, method=method, json=bodies.get(method), headers=OPS)
        for request in WRONG_REQUESTS
        for method, address in [request.split()]
    }

    assert {request: answer.status_code for request, answer in answers.items()} == WRONG_REQUESTS
    assert {answer.content_type for answer in answers.values() if answer.status_code != 200} == {
        "application/problem+json"
    }
