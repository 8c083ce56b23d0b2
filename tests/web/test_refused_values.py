"""A database error that is the input's fault is an error of the field, never a 500."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import select, update

import web
from events import transaction
from tasks.inventory import Stock
from tasks.orders import Order
from tests.web.payloads import OPS, order_payload
from web.settings import settings


def _save_tenant() -> None:
    with transaction() as session:
        text = request.get_data(as_text=True) or request.args["note"]
        session.execute(select(Order).where(Order.number == text)).all()
        if len(text) > 64:
            session.execute(update(Order).values(number=text))


def _save_number() -> None:
    with transaction() as session:
        session.execute(update(Stock).values(available=int(request.args["count"])))


def _with(view: Callable[[], None]) -> Any:
    app = web.create_app()  # of its own, because it gets another page

    def endpoint() -> str:
        view()
        return "saved"

    app.add_url_rule("/probe", view_func=endpoint)
    return app.test_client()


def _refused(answer: Any, field: str) -> None:
    assert answer.status_code == 422, answer.text
    assert answer.content_type == "application/problem+json"
    assert [each["field"] for each in answer.json["errors"]] == [field]


def test_a_number_beyond_every_column_names_its_field(any_app: Flask):
    client = _with(_save_number)

    _refused(client.get(f"/probe?other=1&count={10**25}"), "count")


def test_a_text_that_cannot_be_stored_names_its_field(any_app: Flask):
    client = _with(_save_tenant)
    client.post("/api/v1/orders", json=order_payload())

    answer = client.get("/probe?other=x&note=a%00b")
    if answer.status_code != 200:  # SQLite stores NUL
        _refused(answer, "note")
    answer = client.get(f"/probe?other=x&note={'y' * 100}")
    if answer.status_code != 200:  # and texts of any length
        _refused(answer, "note")


def test_a_database_that_refuses_for_a_reason_of_its_own_is_no_input_error(any_app: Flask):
    def break_a_rule() -> None:
        with transaction() as session:
            session.execute(update(Stock).values(available=-1))

    assert _with(break_a_rule).get("/probe?count=1").status_code == 500


@pytest.mark.parametrize("path", ["/orders", "/ops/products/new"])
def test_half_a_surrogate_in_a_form_is_no_error_of_ours(any_app: Flask, path: str):
    any_app.config["WTF_CSRF_ENABLED"] = False
    sent = b"name=a%ED%A0%80b&email=%ED%A0%80&key=%ED%A0%80&quantity.%ED%A0%80=1&sku=%ED%A0%80"

    answer = any_app.test_client().post(
        path, data=sent, content_type="application/x-www-form-urlencoded"
    )

    assert answer.status_code in (401, 422)


@pytest.mark.parametrize("path", ["breakers/x/hold", "dead-letters/x/edit", "products/x"])
def test_a_body_that_is_too_large_is_no_error_of_ours(no_write_client: FlaskClient, path: str):
    """Where the address is wrong too, the error is rendered for a body that nobody has read."""
    method = "PATCH" if path.startswith("products") else "POST"
    body = {"why": "x" * (settings().max_body + 1)}

    answer = no_write_client.open(f"/api/v1/{path}", method=method, json=body, headers=OPS)

    assert answer.status_code in (404, 413, 422)
