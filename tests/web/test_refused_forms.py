"""Refused forms: each page says why, nothing is changed, and nothing is typed twice."""

from collections.abc import Callable
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from markupsafe import escape

from tests.web.pages import (
    HTML,
    OPS_HTML,
    VALID_FORM,
    form_data,
    hidden_field,
    place_order,
    post,
)
from tests.web.payloads import NO_ROWS, OPS, row_counts

Change = Callable[[Flask, FlaskClient, dict[str, str]], None]


def _expire(app: Flask, client: FlaskClient, form: dict[str, str]) -> None:
    app.config["WTF_CSRF_TIME_LIMIT"] = -1


def _lose_the_cookie(app: Flask, client: FlaskClient, form: dict[str, str]) -> None:
    client.delete_cookie("tidings")


def _restart_with_another_key(app: Flask, client: FlaskClient, form: dict[str, str]) -> None:
    app.secret_key = "another key"


def _lose_the_token(app: Flask, client: FlaskClient, form: dict[str, str]) -> None:
    del form["csrf_token"]


def _garble_the_token(app: Flask, client: FlaskClient, form: dict[str, str]) -> None:
    form["csrf_token"] = "x" + form["csrf_token"]


def _take_another_sessions_form(app: Flask, client: FlaskClient, form: dict[str, str]) -> None:
    form["csrf_token"] = form_data(app.test_client())["csrf_token"]


REASONS: dict[Change, str] = {
    _expire: "had been open for more than an hour",
    _lose_the_cookie: "Your browser sent no cookie",
    _restart_with_another_key: "is from before a restart of this site, or from another site",
    _lose_the_token: "sent without its token",
    _garble_the_token: "The form is from before a restart",
    _take_another_sessions_form: "from another session than the cookie",
}


@pytest.mark.parametrize(
    ("change", "reason"), REASONS.items(), ids=lambda each: getattr(each, "__name__", "")
)
def test_a_refused_order_form_says_why_and_keeps_its_values(
    app: Flask, client: FlaskClient, change: Change, reason: str
):
    form = form_data(client, name="Ada Typed")
    change(app, client, form)

    refused = client.post("/orders", data=form, headers=HTML)

    assert refused.status_code == 400
    assert reason in unescape(refused.text)
    assert "Ada Typed" in refused.text
    assert row_counts() == NO_ROWS
    app.config["WTF_CSRF_TIME_LIMIT"] = 3600
    again = {name: hidden_field(refused.text, name) for name in ("csrf_token", "key")}
    assert client.post("/orders", data=form | again, headers=HTML).status_code == 303


def test_the_forms_of_operators_and_of_an_order_say_why_too(app: Flask, client: FlaskClient):
    order = place_order(client)
    cancel = order.replace("?", "/cancel?")
    token = hidden_field(client.get(f"{order}&ask=cancel", headers=HTML).text, "csrf_token")

    for path in (cancel, "/ops/queues/email.announce_shipment/pause"):
        client.delete_cookie("tidings")  # the page of the refusal sets one, to be sent again with
        refused = client.post(path, data={"csrf_token": token, "reason": "x"}, headers=OPS_HTML)
        assert (refused.status_code, "sent no cookie" in refused.text) == (400, True)


def test_a_form_over_tls_needs_no_referer(app: Flask):
    client = app.test_client()
    base = "https://localhost"
    page = client.get("/", base_url=base).text
    form = {name: hidden_field(page, name) for name in ("csrf_token", "key")}

    placed = client.post("/orders", base_url=base, data=VALID_FORM | form, headers=HTML)

    assert placed.status_code == 303


REFUSED = {
    "a reason with a control character": (
        "/ops/queues/payment.charge_order/pause",
        {"reason": "bank\x9bholiday"},
    ),
    "no reason": ("/ops/products/MUG-BLUE", {"reason": "", "quantity": "7"}),
    "a quantity that is none": (
        "/ops/products/MUG-BLUE",
        {"reason": "spring <b>", "quantity": "many"},
    ),
    "no group": ("/ops/dead-letters/replay", {"reason": "the bank is awake"}),
}


@pytest.mark.parametrize(("path", "typed"), REFUSED.values(), ids=REFUSED)
def test_a_refused_form_of_an_operator_is_shown_again_with_what_was_typed(
    client: FlaskClient, path: str, typed: dict[str, str]
):
    page = post(client, "/ops/products/new", path, OPS, **typed)

    assert page.status_code == 422
    assert f'action="{path}"' in page.text
    for name, value in typed.items():
        assert f'name="{name}" value="{escape(value)}"' in page.text


def test_a_corrected_form_is_accepted(client: FlaskClient):
    path = "/ops/products/MUG-BLUE"
    refused = post(client, "/ops/products/new", path, OPS, reason="spring", quantity="x").text

    answer = client.post(
        path,
        data={
            "csrf_token": hidden_field(refused, "csrf_token"),
            "reason": "spring",
            "quantity": "7",
        },
        headers=OPS_HTML,
        follow_redirects=True,
    )

    assert "Added 7 to the stock of MUG-BLUE." in answer.text


def test_a_reason_of_a_customer_is_shown_again_and_the_token_of_the_link_too(client: FlaskClient):
    address = place_order(client)
    to = address.replace("?", "/cancel?")

    page = post(client, f"{address}&ask=cancel", to, reason="changed my mind\x9b")

    assert page.status_code == 422
    assert f'action="{escape(to)}"' in page.text
    assert 'value="changed my mind\x9b"' in page.text


def test_a_form_of_another_site_is_not_shown_again(client: FlaskClient):
    answer = client.post(
        "/ops/products/MUG-BLUE",
        data={"reason": "theirs", "quantity": "7"},
        headers=OPS_HTML | {"Sec-Fetch-Site": "cross-site"},
    )

    assert answer.status_code == 403
    assert "theirs" not in answer.text
