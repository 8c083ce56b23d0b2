"""Values that operators type: filters, numbers and reasons, by the rules of every other door."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from events import publish, transaction
from events.catalog import OrderCreated
from tests.tasks.builders import order_created
from tests.web.payloads import OPS, order_payload

NUL = "a%00b"
GETS = [
    f"/ops/events?type={NUL}",
    f"/ops/events?subject={NUL}",
    f"/ops/orders?number={NUL}",
    f"/ops/dead-letters?subscription={NUL}",
    f"/ops/dead-letters?fingerprint={NUL}",
    f"/ops/products/{NUL}/change",
    f"/api/v1/events?subject={NUL}",
    f"/api/v1/dead-letters?fingerprint={NUL}",
    "/api/v1/orders?limit=1_0",
    "/api/v1/orders?limit=%EF%BC%91",
    "/api/v1/events?before=99999999999999999999",
]
POSTS: list[tuple[str, dict[str, str]]] = [
    ("/ops/dead-letters/invalid-messages/99999999999999999999/discard", {}),
    ("/ops/dead-letters/invalid-messages/%EF%BC%91/discard", {}),
    (f"/ops/products/{NUL}", {"quantity": "1"}),
    ("/ops/products/MUG-BLUE", {"quantity": "1_0"}),
    ("/ops/products/MUG-BLUE", {"quantity": "\uff11"}),
    ("/ops/products/MUG-BLUE", {"quantity": "1", "reason": "x\x9bm"}),
    ("/ops/dead-letters/replay", {"only": "a\0 b"}),
    ("/ops/queues/payment.charge_order/pause", {"reason": "\u202ex"}),
    ("/ops/queues/payment.charge_order/pause", {"reason": "a\u2028b"}),
    ("/ops/queues/payment.charge_order/pause", {"reason": "\u2800"}),
    ("/ops/queues/payment.charge_order/pause", {"reason": "x" * 201}),
]


@pytest.mark.parametrize("address", GETS)
def test_a_filter_that_no_database_can_look_for_is_an_error_of_its_field(
    any_app: Flask, address: str
):
    answer = any_app.test_client().get(address, headers=OPS)

    assert answer.status_code == 422, answer.text
    assert answer.json["errors"]


@pytest.mark.parametrize(("address", "sent"), POSTS, ids=lambda each: ascii(each)[:60])
def test_an_operators_value_is_checked_by_the_same_rules(
    any_app: Flask, address: str, sent: dict[str, Any]
):
    any_app.config["WTF_CSRF_ENABLED"] = False

    answer = any_app.test_client().post(address, data={"reason": "x"} | sent, headers=OPS)

    assert answer.status_code == 422, answer.text
    assert answer.json["errors"]


@pytest.mark.parametrize("typed", ["1001", "ord-1001", " ORD-1001 "])
def test_an_order_is_found_by_its_number_however_it_is_typed(client: FlaskClient, typed: str):
    client.post("/api/v1/orders", json=order_payload())

    query = {"subject": typed}
    assert len(client.get("/api/v1/events", query_string=query, headers=OPS).json["events"]) == 1
    page = client.get("/ops/events", query_string=query, headers=OPS).text
    assert "order.created" in page.partition("<tbody>")[2]
    found = client.get("/ops/orders", query_string={"number": typed}, headers=OPS)
    assert found.status_code == 302


def test_an_imported_order_beyond_the_limits_is_still_shown(client: FlaskClient):
    """Events of other publishers are not bound by the rules of our doors."""
    event = order_created("o-9", MUG=1).model_copy(update={"customer": "\u2800"})
    with transaction() as session:
        publish(session, OrderCreated.model_validate(event.model_dump()), subject="ORD-o-9")

    assert client.get("/ops/events", headers=OPS).status_code == 200
