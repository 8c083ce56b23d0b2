"""Orders at the edge: API and pages accept them alike, and show them to the same requests."""

from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from events import transaction
from tasks.products import Product
from tests.servers import wait_until
from tests.web.pages import HTML, place_order, submit
from tests.web.payloads import OPS, order_payload, row_counts


@pytest.mark.parametrize(
    ("token", "known", "login", "status"),
    [
        ("right", True, {}, 200),
        ("wrong", True, {}, 403),
        ("wrong", False, {}, 403),
        ("", True, {}, 401),
        ("", False, {}, 401),
        ("", True, OPS, 200),
        ("", False, OPS, 404),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/api/v1"], ids=["page", "api"])
def test_api_and_page_answer_an_order_with_the_same_status(
    client: FlaskClient, prefix: str, token: str, known: bool, login: dict[str, str], status: int
):
    address, right = place_order(client).split("?token=")
    path = prefix + (address if known else f"/orders/{uuid4()}")
    query = {"token": right if token == "right" else token}

    answer = client.get(path, query_string=query, headers=HTML | login)

    assert answer.status_code == status


def _accepted(client: FlaskClient) -> float:
    lines = client.get("/metrics").text.splitlines()
    [value] = [
        line.split()[1] for line in lines if line.startswith("tidings_orders_accepted_total")
    ]
    return float(value)


def test_orders_by_api_and_by_form_are_counted_alike(client: FlaskClient):
    before = _accepted(client)

    client.post("/api/v1/orders", json=order_payload())
    submit(client)

    assert _accepted(client) == before + 2
    assert row_counts()["orders"] == 2


def test_a_price_changed_by_this_process_is_that_of_the_next_order(client: FlaskClient):
    before = client.post("/api/v1/orders", json=order_payload(MUG_BLUE=1)).json
    changed = client.patch(
        "/api/v1/products/MUG-BLUE",
        json={"price": {"amount": 1990, "currency": "EUR"}, "reason": "dearer clay"},
        headers=OPS,
    )
    after = client.post("/api/v1/orders", json=order_payload(MUG_BLUE=1)).json

    assert changed.status_code == 200, changed.text
    assert (before["total"]["amount"], after["total"]["amount"]) == (1250, 1990)


def test_a_price_changed_elsewhere_is_known_after_a_second(client: FlaskClient):
    client.post("/api/v1/orders", json=order_payload(MUG_BLUE=1))
    with transaction() as session:
        session.execute(update(Product).where(Product.sku == "MUG-BLUE").values(price_amount=1990))

    def total() -> int:
        placed = client.post("/api/v1/orders", json=order_payload(MUG_BLUE=1)).json
        return int(placed["total"]["amount"])

    wait_until(lambda: total() == 1990, what="the new price")
