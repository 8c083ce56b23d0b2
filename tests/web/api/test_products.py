"""Products are added and changed over the API, by operators only, and audited."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from events import reading
from tasks.inventory import Movement
from tests.servers import HANG
from tests.tree import ROOT
from tests.web.pages import audit_log
from tests.web.payloads import OPS, bearer, order_payload

CUP = {
    "sku": "CUP",
    "name": "Cup",
    "price": {"amount": 5_000_000_000, "currency": "LBP"},
    "stock": 3_000_000_000,
    "reason": "test",
}


def _add(client: FlaskClient, **values: Any) -> Any:
    return client.post("/api/v1/products", json=CUP | values, headers=OPS)


def _listed(client: FlaskClient, headers: dict[str, str] | None = None) -> dict[str, Any]:
    products = client.get("/api/v1/products", headers=headers).json["products"]
    return {each["sku"]: each for each in products}


def test_a_product_is_added_listed_and_ordered(any_app: Flask):
    client = any_app.test_client()

    answer = _add(client, reason="spring")

    assert answer.status_code == 201, answer.text
    assert answer.json == _listed(client)["CUP"]
    assert answer.json["available"] == 3_000_000_000
    assert client.post("/api/v1/orders", json=order_payload(CUP=2)).status_code == 202
    text = "Cup, LBP50,000,000.00, 3000000000 in stock: spring"
    who, action, why = audit_log()[0]
    assert (who, action, why.replace("\xa0", "")) == ("ada", "add product", text)


def test_what_is_left_out_of_a_change_stays_and_orders_keep_their_price(any_app: Flask):
    client = any_app.test_client()
    order = client.post("/api/v1/orders", json=order_payload(MUG_BLUE=1)).json

    answer = client.patch(
        "/api/v1/products/MUG-BLUE",
        json={"price": {"amount": 1500, "currency": "USD"}, "stock": 7, "reason": "counted"},
        headers=OPS,
    )

    assert answer.status_code == 200, answer.text
    mug = answer.json
    assert (mug["name"], mug["price"]) == ("Blue mug", {"amount": 1500, "currency": "USD"})
    assert (mug["available"], mug["active"]) == (7, True)
    shown = client.get(order["links"]["self"], headers=bearer(order)).json
    assert shown["total"] == {"amount": 1250, "currency": "EUR"}
    changes = "price €12.50 to US$15.00, stock 100 to 7: counted"
    assert audit_log()[0] == ("ada", "change product", changes)


def test_a_product_that_is_no_longer_sold_cannot_be_ordered_and_comes_back(client: FlaskClient):
    change = "/api/v1/products/MUG-BLUE"
    client.patch(change, json={"active": False, "reason": "sold out"}, headers=OPS)

    assert "MUG-BLUE" not in _listed(client)
    assert _listed(client, OPS)["MUG-BLUE"]["active"] is False
    answer = client.post("/api/v1/orders", json=order_payload(MUG_BLUE=1))
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "items.0.sku"
    assert "Blue mug" not in client.get("/").text

    client.patch(change, json={"active": True, "reason": "back"}, headers=OPS)
    assert client.post("/api/v1/orders", json=order_payload(MUG_BLUE=1)).status_code == 202


def test_a_change_to_the_present_values_is_not_audited(client: FlaskClient):
    values = {"name": "Blue mug", "reason": "test"}
    answer = client.patch("/api/v1/products/MUG-BLUE", json=values, headers=OPS)

    assert answer.status_code == 200
    assert audit_log() == []


def test_a_sku_is_given_once(any_app: Flask):
    client = any_app.test_client()
    assert _add(client).status_code == 201

    answer = _add(client, name="Another cup")

    assert answer.status_code == 409
    assert answer.json["errors"][0]["field"] == "sku"
    assert _listed(client)["CUP"]["name"] == "Cup"


def test_of_two_that_add_one_sku_at_the_same_time_one_is_told(any_app: Flask):
    together = Barrier(2)

    def add(name: str) -> int:
        together.wait(HANG)
        status: int = _add(any_app.test_client(), name=name).status_code
        return status

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(add, ("Cup", "Mug")))

    assert answers == [201, 409]
    assert len(audit_log()) == 1


def test_a_counted_stock_is_recorded_as_a_movement(any_app: Flask):
    client = any_app.test_client()
    client.patch("/api/v1/products/MUG-BLUE", json={"stock": 7, "reason": "test"}, headers=OPS)

    with reading() as session:
        wanted = select(Movement.quantity, Movement.reason).where(Movement.sku == "MUG-BLUE")
        moved = [tuple(row) for row in session.execute(wanted.order_by(Movement.id))]
    assert moved == [(100, "stocked"), (-93, "counted")]


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("sku", {"sku": "cup"}),
    ("sku", {"sku": "CUP\n"}),
    ("sku", {"sku": "C" * 33}),
    ("name", {"name": "\u2800"}),
    ("name", {"name": "x" * 101}),
    ("description", {"description": "a\u202eb"}),
    ("description", {"description": "x" * 501}),
    ("price.amount", {"price": {"amount": 0, "currency": "EUR"}}),
    ("price.amount", {"price": {"amount": -1, "currency": "EUR"}}),
    ("price.amount", {"price": {"amount": 10**15 + 1, "currency": "EUR"}}),
    ("price.amount", {"price": {"amount": 2**63, "currency": "EUR"}}),
    ("price.amount", {"price": {"amount": 10.5, "currency": "EUR"}}),
    ("price.currency", {"price": {"amount": 1, "currency": "XAU"}}),
    ("price.currency", {"price": {"amount": 1, "currency": "eur"}}),
    ("stock", {"stock": -1}),
    ("stock", {"stock": 10**12 + 1}),
    ("active", {"active": "yes"}),
    ("reason", {"reason": "a\x9bb"}),
    ("reason", {"reason": " "}),
    ("token", {"token": 1}),
]


@pytest.mark.parametrize(("field", "values"), WRONG, ids=lambda each: ascii(each)[:50])
def test_a_wrong_value_is_named(no_write_client: FlaskClient, field: str, values: dict[str, Any]):
    for answer in (
        _add(no_write_client, **values),
        no_write_client.patch("/api/v1/products/MUG-BLUE", json=values, headers=OPS),
    ):
        assert answer.status_code == 422, answer.text
        assert field in [each["field"] for each in answer.json["errors"]]


@pytest.mark.parametrize("quantity", ["5", True, 1.5, 0, -1, 10**30, None, "1_0"])
def test_a_restocking_takes_a_number_and_nothing_that_looks_like_one(
    no_write_client: FlaskClient, quantity: Any
):
    answer = no_write_client.post(
        "/api/v1/products/MUG-BLUE/restock",
        json={"quantity": quantity, "reason": "test"},
        headers=OPS,
    )

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json["errors"]] == ["quantity"]


def test_an_unknown_product_and_an_empty_change_are_refused(no_write_client: FlaskClient):
    change = {"stock": 1, "reason": "test"}
    unknown = no_write_client.patch("/api/v1/products/CAR", json=change, headers=OPS)
    assert (unknown.status_code, unknown.json["errors"][0]["field"]) == (404, "sku")
    empty = no_write_client.patch("/api/v1/products/MUG-BLUE", json={"reason": "x"}, headers=OPS)
    assert empty.status_code == 422
    assert "to change" in empty.text


def test_nobody_else_changes_a_product(no_write_client: FlaskClient):
    assert no_write_client.post("/api/v1/products", json=CUP).status_code == 401
    change = no_write_client.patch("/api/v1/products/MUG-BLUE", json={"stock": 1})
    assert change.status_code == 401


def test_the_products_of_the_how_to_are_some_that_the_api_accepts(client: FlaskClient):
    how_to = (ROOT / "docs/how-to.md").read_text()
    added, changed = map(json.loads, re.findall(r"--json '(.*?)'", how_to))

    assert client.post("/api/v1/products", json=added, headers=OPS).status_code == 201
    change = f"/api/v1/products/{added['sku']}"
    assert client.patch(change, json=changed, headers=OPS).status_code == 200
