"""The API of orders: placing, reading, cancelling."""

from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from events import reading, transaction
from events.catalog import OrderCreated
from events.testing import Bus
from tasks import inventory, orders
from tests.web.payloads import NO_ROWS, OPS, bearer, order_payload, row_counts


def _placed(client: FlaskClient, **items: int) -> dict:
    answer = client.post("/api/v1/orders", json=order_payload(**items))
    assert answer.status_code == 202, answer.text
    return answer.json


def test_an_order_is_accepted_with_its_price_from_the_products_table(client: FlaskClient):
    answer = client.post("/api/v1/orders", json=order_payload(MUG_BLUE=2, COFFEE_250=1))

    assert answer.status_code == 202
    accepted = answer.json
    assert accepted["total"] == {"amount": 2 * 1250 + 1190, "currency": "EUR"}
    assert accepted["status"] == "placed"
    assert accepted["number"].startswith("ORD-")
    assert UUID(accepted["id"]).version == 7
    assert (
        answer.headers["Location"]
        == accepted["links"]["self"]
        == f"/api/v1/orders/{accepted['id']}"
    )


def test_an_order_and_the_event_that_tells_of_it_are_saved_together(any_app: Flask):
    accepted = any_app.test_client().post("/api/v1/orders", json=order_payload()).json

    assert row_counts() == {"orders": 1, "events": 1, "idempotency_keys": 0}
    with Bus() as bus:
        [created] = bus.published
    assert isinstance(created, OrderCreated)
    assert (created.order_id, created.number) == (accepted["id"], accepted["number"])


def test_an_order_for_more_than_there_is_is_accepted_and_left_to_inventory(client: FlaskClient):
    with transaction() as session:
        inventory.add_stock(session, "MUG-BLUE", 1)

    assert client.post("/api/v1/orders", json=order_payload(MUG_BLUE=99)).status_code == 202


def test_who_holds_the_token_sees_the_order(client: FlaskClient):
    accepted = _placed(client)

    by_header = client.get(accepted["links"]["self"], headers=bearer(accepted))
    by_query = client.get(accepted["links"]["self"], query_string={"token": accepted["token"]})

    assert by_header.status_code == by_query.status_code == 200
    shown = by_header.json
    assert shown == by_query.json
    assert (shown["id"], shown["number"], shown["status"], shown["reason"]) == (
        accepted["id"],
        accepted["number"],
        "placed",
        None,
    )
    assert (shown["stock"], shown["payment"], shown["shipment"]) == (
        "waiting",
        "waiting",
        "waiting",
    )
    assert shown["items"] == [
        {
            "sku": "MUG-BLUE",
            "name": "Blue mug",
            "quantity": 2,
            "price": {"amount": 1250, "currency": "EUR"},
        }
    ]


def test_operators_see_every_order(client: FlaskClient):
    accepted = _placed(client)

    assert client.get(accepted["links"]["self"], headers=OPS).status_code == 200
    assert client.get(f"/api/v1/orders/{uuid4()}", headers=OPS).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_token_looks_like_an_unknown_order(client: FlaskClient, method: str):
    mine, other = _placed(client), _placed(client)
    tail = "" if method == "GET" else "/cancel"

    answers = [
        client.open(
            f"/api/v1/orders/{order}{tail}",
            method=method,
            headers={"Authorization": f"Bearer {token}"},
        )
        for order, token in (
            (mine["id"], "wrong"),
            (mine["id"], other["token"]),
            (str(uuid4()), mine["token"]),
            (mine["id"], "wröng"),
        )
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert {answer.content_type for answer in answers} == {"application/problem+json"}
    assert len({(answer.json["title"], answer.json["detail"]) for answer in answers}) == 1
    assert mine["token"] not in "".join(answer.text for answer in answers)


def test_nobody_sees_an_order_without_a_token(client: FlaskClient):
    known = client.get(_placed(client)["links"]["self"])
    unknown = client.get(f"/api/v1/orders/{uuid4()}")

    assert known.status_code == unknown.status_code == 401
    assert known.headers["WWW-Authenticate"].lower().startswith("bearer")


def test_an_order_that_did_not_change_is_not_sent_again(client: FlaskClient):
    accepted = _placed(client)
    first = client.get(accepted["links"]["self"], headers=bearer(accepted))

    again = client.get(
        accepted["links"]["self"],
        headers=bearer(accepted) | {"If-None-Match": first.headers["ETag"]},
    )
    client.post(accepted["links"]["cancel"], headers=bearer(accepted))
    after = client.get(
        accepted["links"]["self"],
        headers=bearer(accepted) | {"If-None-Match": first.headers["ETag"]},
    )

    assert (again.status_code, again.data) == (304, b"")
    assert (after.status_code, after.json["status"]) == (200, "cancelled")
    assert "private" in first.headers["Cache-Control"]


def test_the_timeline_tells_what_happened_to_the_order(client: FlaskClient):
    accepted = _placed(client)
    with Bus(fail_fast=False) as bus:
        bus.drain()

    state = client.get(accepted["links"]["self"], headers=bearer(accepted)).json

    assert state["status"] == "shipped"
    assert {"order.created", "payment.charged", "order.shipped"} <= {
        step["event_type"] for step in state["timeline"]
    }


def test_an_order_is_cancelled_once_with_its_reason(client: FlaskClient):
    accepted = _placed(client)

    first = client.post(
        accepted["links"]["cancel"], json={"reason": "ordered twice"}, headers=bearer(accepted)
    )
    second = client.post(
        accepted["links"]["cancel"], json={"reason": "ordered twice"}, headers=bearer(accepted)
    )

    assert (first.status_code, first.json["status"], first.json["reason"]) == (
        200,
        "cancelled",
        "ordered twice",
    )
    assert (second.status_code, second.content_type) == (409, "application/problem+json")
    assert row_counts()["events"] == 2


def test_an_order_can_be_cancelled_without_a_body(client: FlaskClient):
    accepted = _placed(client)

    assert (
        client.post(accepted["links"]["cancel"], query_string={"token": accepted["token"]}).json[
            "status"
        ]
        == "cancelled"
    )


def test_products_are_listed_with_prices_and_what_is_left(client: FlaskClient):
    listed = client.get("/api/v1/products")

    [mug] = [each for each in listed.json["products"] if each["sku"] == "MUG-BLUE"]
    assert mug == {
        "sku": "MUG-BLUE",
        "name": "Blue mug",
        "description": "Stoneware, 0.3 l, fit for the dishwasher.",
        "price": {"amount": 1250, "currency": "EUR"},
        "available": 100,
        "active": True,
    }
    assert (
        client.get(
            "/api/v1/products", headers={"If-None-Match": listed.headers["ETag"]}
        ).status_code
        == 304
    )


def test_an_order_that_fails_to_be_saved_leaves_nothing_behind(client: FlaskClient):
    with transaction() as session:
        session.execute(text("ALTER TABLE events RENAME TO elsewhere"))
    answer = client.post("/api/v1/orders", json=order_payload(), headers={"Idempotency-Key": "k"})
    with transaction() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO events"))

    assert answer.status_code == 500
    assert row_counts() == NO_ROWS
    with reading() as session:
        assert orders.listed(session) == []
