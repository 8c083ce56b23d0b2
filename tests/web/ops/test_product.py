"""/ops/products/new and .../change: an operator adds and changes products by form."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from events import reading, transaction
from tasks.inventory import stock_levels
from tasks.products import Product
from tests.web.pages import audit_log, post
from tests.web.payloads import OPS

NEW = {
    "sku": "CUP",
    "name": "Cup",
    "description": "For tea.",
    "price": "123.45",
    "currency": "MGA",
    "stock": "12",
    "active": "on",
    "reason": "spring",
}
CHANGE = "/ops/products/MUG-BLUE/change"


def _product(sku: str) -> tuple[Product, int]:
    with reading() as session:
        return session.get_one(Product, sku), stock_levels(session)[sku]


def test_a_product_is_added_in_any_currency_and_audited(any_app: Flask):
    client = any_app.test_client()

    page = post(client, "/ops/products/new", "/ops/products/new", OPS, **NEW)

    assert "Cup is added." in page.text
    product, stock = _product("CUP")
    assert (product.price_amount, product.currency, product.active) == (12345, "MGA", True)
    assert stock == 12
    who, action, why = audit_log()[0]
    assert (who, action) == ("ada", "add product")
    assert why.replace("\xa0", "") == "Cup, MGA123.45, 12 in stock: spring"
    assert "MGA123.45" in client.get("/").text.replace("\xa0", "")


def test_a_change_leaves_the_stock_alone_unless_it_was_counted(client: FlaskClient):
    values = {"name": "Mug", "price": "13.00", "currency": "EUR", "active": "on", "reason": "dear"}

    page = post(client, CHANGE, CHANGE, OPS, stock="", **values)

    assert "Mug is changed: " in page.text
    product, stock = _product("MUG-BLUE")
    assert (product.name, product.price_amount, stock) == ("Mug", 1300, 100)
    post(client, CHANGE, CHANGE, OPS, stock="7", **values)
    assert _product("MUG-BLUE")[1] == 7
    assert audit_log()[0] == ("ada", "change product", "stock 100 to 7: dear")
    again = post(client, CHANGE, CHANGE, OPS, stock="7", **values)
    assert "Nothing was changed" in again.text
    assert len(audit_log()) == 2


def test_a_product_that_is_no_longer_sold_is_listed_for_operators_only(client: FlaskClient):
    values = {"name": "Blue mug", "price": "12.50", "currency": "EUR", "reason": "sold out"}

    page = post(client, CHANGE, CHANGE, OPS, **values)

    assert "no longer sold" in page.text
    assert "not sold" in client.get("/ops/products", headers=OPS).text
    assert "Blue mug" not in client.get("/").text


WRONG = {
    "a sku in small letters": ("sku", "cup"),
    "no name": ("name", " "),
    "an invisible name": ("name", "\u3164"),
    "a price with too many digits": ("price", "1.234"),
    "a price for a program": ("price", "1_0"),
    "no price": ("price", ""),
    "nothing to pay": ("price", "0"),
    "a price beyond the limit": ("price", "99999999999999"),
    "a metal for a currency": ("currency", "XAU"),
    "a currency of the past": ("currency", "HRK"),
    "no currency": ("currency", ""),
    "full-width stock": ("stock", "\uff11"),
    "stock beyond the limit": ("stock", str(10**12 + 1)),
    "stock beyond every column": ("stock", "9" * 30),
    "no reason": ("reason", ""),
    "a reason that a terminal obeys": ("reason", "a\x9bb"),
    "a sku that is taken": ("sku", "MUG-BLUE"),
}


@pytest.mark.parametrize(("field", "value"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_reported_beside_its_field_and_all_values_are_kept(
    no_write_client: FlaskClient, field: str, value: str
):
    page = post(
        no_write_client, "/ops/products/new", "/ops/products/new", OPS, **NEW | {field: value}
    )

    assert page.status_code == 422
    assert re.findall('id="([a-z]+)-error"', page.text) == [field]
    assert "For tea." in page.text
    assert "Nothing is saved yet." in page.text
    assert field != "price" or "Input should" not in page.text


def test_a_product_in_a_currency_that_was_withdrawn_is_not_priced_in_the_first_of_the_list(
    client: FlaskClient,
):
    with transaction() as session:
        session.get_one(Product, "MUG-BLUE").currency = "HRK"

    page = client.get(CHANGE, headers=OPS).text
    kept = {"name": "Mug", "price": "12.50", "currency": "HRK", "active": "on", "reason": "x"}
    refused = post(client, CHANGE, CHANGE, OPS, **kept)
    changed = post(client, CHANGE, CHANGE, OPS, **kept | {"currency": "EUR"})

    [chosen] = re.findall(r'<option value="([A-Z]+)" selected', page)
    assert chosen == "HRK"
    assert refused.status_code == 422
    assert "&#39;HRK&#39; is not a currency" in refused.text
    assert "Mug is changed" in changed.text


@pytest.mark.parametrize(("sku", "status"), [("CAR", 404), ("mug-blue", 422), ("x", 422)])
def test_a_product_that_is_not_there_cannot_be_changed(
    no_write_client: FlaskClient, sku: str, status: int
):
    answer = no_write_client.get(f"/ops/products/{sku}/change", headers=OPS)
    assert answer.status_code == status
