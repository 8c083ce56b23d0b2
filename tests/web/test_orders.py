"""Orders at the edge: API and pages accept them alike, and show them to the same requests."""

from uuid import uuid4

import pytest
from flask.testing import FlaskClient

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
