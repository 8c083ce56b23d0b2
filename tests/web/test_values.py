"""One rule for each kind of value at every door: API, form, operators' pages, headers."""

from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient

from events import transaction
from events.testing import Bus
from tasks.products import Product
from tests.web.pages import HTML, form_data, submit
from tests.web.payloads import bearer, order_payload, payload_with, row_counts

NOBODY = ["\u2800", "\u3164", "\u200b\u200b", "\u200d\u2060", "\U000e0041", "\u00ad", "\u115f"]


@pytest.mark.parametrize("name", NOBODY, ids=ascii)
def test_a_name_that_nobody_sees_is_refused_by_api_and_form(
    no_write_client: FlaskClient, name: str
):
    for field in ("customer.name", "shipping_address.line1", "shipping_address.city"):
        answer = no_write_client.post("/api/v1/orders", json=payload_with(field, name))
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json["errors"]] == [field]

    page = submit(no_write_client, name=name)
    assert page.status_code == 422
    assert f"one line. Remove character 1, U+{ord(name[0]):04X} (" in page.text or "\u200d" in name
    assert 'id="name-error">Please ' in page.text


@pytest.mark.parametrize("typed", ["1_0", "\uff11\uff10", "\u0663", "+", "0x1", "1e1"])
def test_a_quantity_is_written_in_plain_digits(no_write_client: FlaskClient, typed: str):
    page = submit(no_write_client, quantity__MUG_BLUE=typed)

    assert page.status_code == 422
    assert 'id="quantity.MUG-BLUE-error">Please give a whole number.' in page.text


@pytest.mark.parametrize("times", [2, 50])
def test_the_items_of_one_product_are_limited_together(no_write_client: FlaskClient, times: int):
    order = order_payload() | {"items": [{"sku": "MUG-BLUE", "quantity": 50}] * times}

    answer = no_write_client.post("/api/v1/orders", json=order)

    assert answer.status_code == 422
    assert answer.json["errors"] == [
        {"field": "items.1.quantity", "message": "order at most 99 of Blue mug, not 100"}
    ]


def test_up_to_the_limit_the_items_of_one_product_are_one_line(client: FlaskClient):
    order = order_payload() | {
        "items": [{"sku": "MUG-BLUE", "quantity": 50}, {"sku": "MUG-BLUE", "quantity": 49}]
    }
    accepted = client.post("/api/v1/orders", json=order).json

    [line] = client.get(accepted["links"]["self"], headers=bearer(accepted)).json["items"]
    assert line["quantity"] == 99


def _products(**prices: tuple[int, str]) -> None:
    with transaction() as session:
        for sku, (amount, currency) in prices.items():
            product = session.get_one(Product, sku.replace("_", "-"))
            product.price_amount, product.currency = amount, currency


def test_a_total_beyond_32_bits_is_ordered_charged_and_shown(any_app: Flask):
    _products(MUG_BLUE=(9_999_999_999, "EUR"))
    client = any_app.test_client()
    accepted = client.post("/api/v1/orders", json=order_payload(MUG_BLUE=3)).json
    with Bus(fail_fast=False) as bus:
        bus.drain()

    shown = client.get(accepted["links"]["self"], headers=bearer(accepted)).json
    assert shown["total"] == {"amount": 29_999_999_997, "currency": "EUR"}
    assert (shown["payment"], shown["status"]) == ("charged", "shipped")
    assert "€299,999,999.97" in client.get(accepted["links"]["page"], headers=HTML).text


@pytest.mark.parametrize("amount", [10**15, 5 * 10**14])
def test_a_total_beyond_the_limit_names_the_field(any_app: Flask, amount: int):
    _products(MUG_BLUE=(amount, "EUR"))
    client = any_app.test_client()

    answer = client.post("/api/v1/orders", json=order_payload(TEE_M=1, MUG_BLUE=2))
    assert answer.status_code == 422
    assert answer.json["errors"] == [
        {
            "field": "items.1.quantity",
            "message": "the order would cost more than €10,000,000,000,000.00; order less",
        }
    ]
    page = submit(client, quantity__MUG_BLUE="3", quantity__TEE_M="")
    assert page.status_code == 422
    assert 'id="quantity.MUG-BLUE-error">The order would cost more than' in page.text
    assert row_counts()["orders"] == 0


def test_two_currencies_in_one_order_are_refused_by_field(any_app: Flask):
    _products(TEE_M=(2500, "JPY"))
    client = any_app.test_client()

    answer = client.post("/api/v1/orders", json=order_payload(MUG_BLUE=1, TEE_M=1))
    assert answer.status_code == 422
    [error] = answer.json["errors"]
    assert error["field"] == "items.1.sku"
    assert error["message"].startswith("its price is in JPY, and that of another product in EUR")
    page = submit(client, quantity__MUG_BLUE="1", quantity__TEE_M="1")
    assert page.status_code == 422
    assert 'id="quantity.TEE-M-error">Its price is in JPY' in page.text


def test_the_form_shows_each_product_in_its_own_currency(any_app: Flask):
    _products(TEE_M=(2500, "JPY"), MUG_WHITE=(12345, "MGA"))

    page = any_app.test_client().get("/").text.replace("\xa0", "")

    assert "JP¥2,500" in page
    assert "MGA123.45" in page
    assert 'data-amount="12345" data-currency="MGA" data-digits="2"' in page
    assert 'data-amount="2500" data-currency="JPY" data-digits="0"' in page


@pytest.mark.parametrize(("country", "name"), [("HK", "Hong Kong"), ("XK", "Kosovo")])
def test_a_country_without_postcodes_is_ordered_to_by_form(
    client: FlaskClient, country: str, name: str
):
    assert submit(client, country=country, postcode="").status_code == 303
    assert f">{name}" in client.get("/").text
    page = submit(client, country="DE", postcode=" ")
    assert 'id="postcode-error">Please fill this in.' in page.text


@pytest.mark.parametrize(("first", "second"), [('"k-1"', "k-1"), ("k-1", '"k-1"')])
def test_a_quoted_key_is_the_key_without_quotes(any_app: Flask, first: str, second: str):
    answers = [
        any_app.test_client().post(
            "/api/v1/orders", json=order_payload(), headers={"Idempotency-Key": key}
        )
        for key in (first, second)
    ]

    assert [answer.headers["Idempotency-Replayed"] for answer in answers] == ["false", "true"]
    assert row_counts()["orders"] == 1


@pytest.mark.parametrize("key", ['"', '""', '"k', '" "', 'a"b c', '"a" "b"', '"\\x"', '"a\t"'])
def test_a_key_that_is_no_string_is_refused(no_write_client: FlaskClient, key: str):
    answer = no_write_client.post(
        "/api/v1/orders",
        json=order_payload(),
        environ_overrides={"HTTP_IDEMPOTENCY_KEY": key},
    )

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json["errors"]] == ["Idempotency-Key"]


def test_no_key_of_the_api_is_that_of_a_form(client: FlaskClient):
    form = form_data(client)
    client.post("/orders", data=form, headers=HTML)

    for key in (f'"form {form["key"]}"', form["key"]):
        answer = client.post(
            "/api/v1/orders", json=order_payload(), headers={"Idempotency-Key": key}
        )
        assert answer.headers["Idempotency-Replayed"] == "false"


@pytest.mark.parametrize("sent", ["Zo%EB", "Zo\xeb", "%FF%FEZ", "%ED%A0%80"])
def test_a_form_that_is_not_utf8_is_refused_by_its_field(no_write_client: FlaskClient, sent: str):
    form = urlencode(form_data(no_write_client) | {"name": "Zo"}).replace("name=Zo", f"name={sent}")

    page = no_write_client.post(
        "/orders",
        data=form.encode("latin-1"),
        content_type="application/x-www-form-urlencoded",
        headers=HTML,
    )

    assert page.status_code == 422
    assert "not UTF-8" in page.text, page.text
