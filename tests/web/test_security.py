"""The ops login, the headers of every answer, the limit on orders."""

import base64
import re

import pytest
from flask.testing import FlaskClient
from pydantic import ValidationError

import web
from tests.web.payloads import OPS, OPS_AUTH, order_payload
from web.settings import Settings

OPS_PATHS = [
    ("GET", "/api/v1/orders"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/dead-letters"),
    ("POST", "/api/v1/dead-letters/replay"),
    ("POST", "/api/v1/dead-letters/discard"),
    ("POST", "/api/v1/dead-letters/x/replay"),
    ("POST", "/api/v1/dead-letters/x/discard"),
    ("GET", "/api/v1/subscriptions"),
    ("POST", "/api/v1/subscriptions/x/pause"),
    ("POST", "/api/v1/subscriptions/x/resume"),
    ("GET", "/api/v1/queues"),
]


def _basic(login: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


WRONG_LOGINS: dict[str, dict[str, str]] = {
    "none": {},
    "wrong password": _basic("ada:wrong"),
    "wrong user": _basic("eve:correct horse"),
    "longer password": _basic(OPS_AUTH + "x"),
    "no user": _basic(":correct horse"),
    "empty": _basic(":"),
    "not ascii": _basic("ada:c\u00f6rrect horse"),
    "garbage": {"Authorization": "Basic ?"},
    "an order's token": {"Authorization": "Bearer x"},
}


@pytest.mark.parametrize(("method", "path"), OPS_PATHS)
def test_what_operators_do_needs_their_login(no_write_client: FlaskClient, method: str, path: str):
    address = {"REMOTE_ADDR": f"198.51.100.{OPS_PATHS.index((method, path))}"}
    answers = {
        name: no_write_client.open(path, method=method, headers=headers, environ_overrides=address)
        for name, headers in WRONG_LOGINS.items()
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(
        WRONG_LOGINS, 401
    )
    assert {answer.content_type for answer in answers.values()} == {"application/problem+json"}
    assert all(
        answer.headers["WWW-Authenticate"].startswith("Basic realm=") for answer in answers.values()
    )


def test_a_question_for_the_methods_of_an_address_needs_the_login_too(
    no_write_client: FlaskClient,
):
    rules = no_write_client.application.url_map.iter_rules()
    for number, path in enumerate(sorted({re.sub("<[^>]*>", "1", each.rule) for each in rules})):
        address = {"REMOTE_ADDR": f"198.51.{number}.1"}
        allowed, *refused = (
            no_write_client.options(path, headers=headers, environ_overrides=address).status_code
            for headers in (OPS, WRONG_LOGINS["none"], WRONG_LOGINS["wrong password"])
        )
        assert allowed in (200, 404), path
        for_operators = path.startswith("/ops") and allowed == 200
        expected = (401,) if for_operators else (200, 401, 404)
        assert all(each in expected for each in refused), path


def test_without_ops_auth_nobody_can_log_in(stocked: None, environment: pytest.MonkeyPatch):
    environment.delenv("OPS_AUTH")
    client = web.create_app().test_client()

    assert {
        client.get("/api/v1/orders", headers=login).status_code
        for login in (OPS, _basic(":"), _basic(""), _basic("None"))
    } == {401}


@pytest.mark.parametrize("path", ["/livez", "/api/v1/products", "/api/v1/nothing", "/metrics"])
def test_every_answer_has_the_security_headers(no_write_client: FlaskClient, path: str):
    headers = no_write_client.get(path).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers


def test_over_https_browsers_are_told_to_stay_there(no_write_client: FlaskClient):
    assert (
        "Strict-Transport-Security"
        in no_write_client.get("/livez", base_url="https://localhost").headers
    )


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_a_cookie_is_secure_exactly_over_https(
    no_write_client: FlaskClient, scheme: str, secure: bool
):
    cookies = no_write_client.get("/", base_url=f"{scheme}://localhost").headers.getlist(
        "Set-Cookie"
    )

    assert cookies
    for cookie in cookies:
        assert ("Secure" in cookie) is secure
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie


def test_the_api_sets_no_cookie(client: FlaskClient):
    assert "Set-Cookie" not in client.post("/api/v1/orders", json=order_payload()).headers


def test_hundreds_of_orders_from_one_address_are_fine_by_default(no_write_client: FlaskClient):
    assert {no_write_client.post("/api/v1/orders", json={}).status_code for _ in range(300)} == {
        422
    }


def test_with_a_rate_limit_one_address_may_place_so_many_orders(
    stocked: None, environment: pytest.MonkeyPatch
):
    environment.setenv("RATE_LIMIT", "2/hour")
    client = web.create_app().test_client()

    answers = [client.post("/api/v1/orders", json=order_payload()) for _ in range(3)]
    other = client.post(
        "/api/v1/orders", json=order_payload(), environ_overrides={"REMOTE_ADDR": "198.51.100.7"}
    )

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[-1].content_type == "application/problem+json"
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert other.status_code == 202
    assert client.get("/api/v1/products").status_code == 200


@pytest.mark.parametrize("rate", ["a lot", f"{10**20}/minute", f"5/{10**14} years"])
def test_a_rate_limit_that_is_none_is_refused_at_the_start(
    rate: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RATE_LIMIT", rate)

    with pytest.raises(ValidationError):
        Settings()


def test_without_a_secret_the_web_makes_one_up_and_warns(
    stocked: None, environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    environment.delenv("SECRET_KEY")

    assert len(str(web.create_app().secret_key)) == 64
    assert "SECRET_KEY" in capfd.readouterr().err
