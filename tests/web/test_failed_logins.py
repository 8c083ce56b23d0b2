"""Failed logins: limited by network, logged without the password, and none of others' business."""

import base64
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import web
from events import clock
from events.testing import ManualClock
from tests.web.pages import OPS_HTML
from tests.web.payloads import OPS, order_payload

ATTACKER, OPERATOR = "203.0.113.9", "198.51.100.7"


def _basic(login: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


WRONG = _basic("ada:wrong horse")


def _get(
    client: FlaskClient, headers: dict[str, str], path: str = "/ops", address: str = ATTACKER
) -> TestResponse:
    return client.get(path, headers=headers, environ_overrides={"REMOTE_ADDR": address})


def _statuses(client: FlaskClient, count: int, **options: Any) -> list[int]:
    return [_get(client, WRONG, **options).status_code for _ in range(count)]


def _logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in lines if line["event"] == "login.refused"]


def test_after_ten_failed_logins_a_network_waits(client: FlaskClient):
    assert _statuses(client, 12) == [401] * 10 + [429] * 2

    refused = _get(client, WRONG, "/api/v1/orders")

    assert refused.content_type == "application/problem+json"
    assert 1 <= int(refused.headers["Retry-After"]) <= 62
    assert "WWW-Authenticate" not in refused.headers


def test_the_right_login_passes_from_elsewhere_and_waits_from_a_limited_network(
    client: FlaskClient,
):
    _statuses(client, 12)

    assert _get(client, OPS, address=OPERATOR).status_code == 200
    assert _get(client, OPS).status_code == 429


def test_right_logins_are_not_counted(client: FlaskClient):
    assert {_get(client, OPS, "/api/v1/queues").status_code for _ in range(30)} == {200}
    assert _statuses(client, 10) == [401] * 10


@pytest.mark.parametrize(
    "path", ["/ops/queues", "/api/v1/events", "/api/v1/products", "/metrics", "/livez", "/nothing"]
)
def test_no_address_lets_a_limited_network_guess_on(client: FlaskClient, path: str):
    for _ in range(10):
        _get(client, WRONG, path)

    assert _get(client, OPS).status_code == 429


def test_a_limited_network_still_places_orders_and_reads_products(client: FlaskClient):
    _statuses(client, 12)
    address = {"REMOTE_ADDR": ATTACKER}

    placed = client.post(
        "/api/v1/orders", json=order_payload(), headers=OPS, environ_overrides=address
    )

    assert placed.status_code == 202
    assert _get(client, OPS, "/api/v1/products").status_code == 200
    order = placed.json["links"]["self"]
    assert _get(client, OPS, order).status_code == 429
    assert _get(client, {}, f"{order}?token={placed.json['token']}").status_code == 200


def test_the_addresses_of_one_ipv6_network_are_one(client: FlaskClient):
    for number in range(10):
        _get(client, WRONG, address=f"2001:db8::{number}")

    assert _get(client, WRONG, address="2001:db8::ffff").status_code == 429
    assert _get(client, WRONG, address="2001:db8:0:1::1").status_code == 401


def test_a_network_may_log_in_again_when_its_window_has_ended(client: FlaskClient):
    manual = ManualClock()
    clock.follow(manual)
    try:
        for _ in range(3):
            assert _statuses(client, 11) == [401] * 10 + [429]
            manual.advance(61)
            assert _get(client, OPS).status_code == 200
    finally:
        clock.follow(None)


@pytest.mark.parametrize(
    ("limit", "statuses"), [("2/hour", [401, 401, 429, 429]), ("off", [401] * 4)]
)
def test_the_limit_is_a_setting(
    stocked: None, environment: pytest.MonkeyPatch, limit: str, statuses: list[int]
):
    environment.setenv("LOGIN_LIMIT", limit)

    assert _statuses(web.create_app().test_client(), 4) == statuses


GUESSES = {
    "wrong password": ("ada:wrong horse", "ada"),
    "wrong user": ("eve:correct horse", "eve"),
    "empty": (":", ""),
    "both typed as the user": ("ada correct horse:", "(hidden)"),
    "the password as the user": ("correct horse:x", "(hidden)"),
    "one word twice": ("hunter2:hunter2", "(hidden)"),
    "control characters": ("a\x1b[2Jb:x", "a\x1b[2Jb"),
    "long": ("x" * 5000 + ":y", "x" * 64),
}


@pytest.mark.parametrize(("login", "shown"), GUESSES.values(), ids=GUESSES)
def test_each_refused_login_is_logged_without_the_password(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, login: str, shown: str
):
    assert _get(client, _basic(login), "/ops/queues").status_code == 401

    [line] = _logged(caplog)
    assert (line["user"], line["address"], line["path"]) == (shown, ATTACKER, "/ops/queues")
    assert line["reason"] == "wrong login"
    assert "horse" not in json.dumps(line)
    assert "hunter2" not in json.dumps(line)


def test_what_is_no_login_is_refused_logged_and_counted(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
):
    for sent in ("Basic ?", "basic", "Basic /////w==", "BASIC " + "A" * 3000):
        assert _get(client, {"Authorization": sent}).status_code == 401

    assert len(_logged(caplog)) == 4
    assert _statuses(client, 7) == [401] * 6 + [429]


def test_a_login_beyond_the_limit_is_logged_as_such(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
):
    _statuses(client, 10)
    caplog.clear()
    _get(client, OPS)

    [line] = _logged(caplog)
    assert (line["user"], line["reason"]) == ("ada", "too many failed logins")


def test_a_request_without_a_login_is_neither_logged_nor_counted(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
):
    assert {_get(client, {}).status_code for _ in range(15)} == {401}

    assert _logged(caplog) == []
    assert _get(client, OPS).status_code == 200


def test_what_operators_see_is_stored_nowhere(client: FlaskClient):
    order = client.post("/api/v1/orders", json=order_payload()).json
    pages = ["/ops", "/ops/orders", "/ops/mails", "/ops/catalog", "/ops/nothing", "/ops/events/x"]
    shared = ["/api/v1/orders", "/api/v1/events", "/api/v1/products", "/api/v1/orders?limit=x"]

    answers = [
        client.get(path, headers=OPS_HTML)
        for path in (*pages, *shared, order["links"]["self"], order["links"]["page"])
    ]

    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert "no-store" not in client.get("/static/tidings.css", headers=OPS).headers["Cache-Control"]


def test_metrics_can_ask_for_the_login(stocked: None, environment: pytest.MonkeyPatch):
    environment.setenv("METRICS_ACCESS", "login")
    client = web.create_app().test_client()

    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=WRONG).status_code == 401
    assert "tidings_deliveries" in client.get("/metrics", headers=OPS).text
