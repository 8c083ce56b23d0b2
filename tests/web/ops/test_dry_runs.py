"""A dry run on its page and over the API: the same words, and nothing is left behind."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from events import reading, subscriptions
from events.admin import dead_letters
from events.testing import Bus
from tests.web.pages import OPS_HTML, post
from tests.web.payloads import OPS, order_payload


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A client of a shop with a charge that is a dead letter."""
    services = [each for each in subscriptions.registered().values() if each.queue == "payment"]
    with Bus(subscriptions=services, fail_fast=False) as bus:
        body = order_payload() | {"payment_token": "tok_broken"}
        assert app.test_client().post("/api/v1/orders", json=body).status_code == 202
        for _ in range(10):
            bus.advance(3600)
        yield app.test_client()


def letter() -> str:
    with reading() as session:
        [found] = dead_letters.listed(session)
    return found.id


def test_a_page_lists_what_the_handler_would_do_and_offers_other_answers(
    client: FlaskClient,
) -> None:
    address = f"/ops/dead-letters/{letter()}"
    assert "Dry run" in client.get(address, headers=OPS_HTML).text
    page = post(client, address, f"{address}/dry-run", OPS).text

    assert "It would be handled now: 1 row, 1 event, 1 call" in page
    assert "payment.charged" in page
    assert "<code>payments.charge</code>" in page
    again = post(client, address, f"{address}/dry-run", OPS, answer="declined").text
    assert "payment.failed" in again
    assert "<option selected>declined</option>" in again
    assert f"/ops/dead-letters/{letter()}" in again  # it is dead still


def test_the_api_answers_with_the_same_and_refuses_by_name(client: FlaskClient) -> None:
    address = f"/api/v1/dead-letters/{letter()}/dry-run"
    result = client.post(address, headers=OPS).json

    assert result["outcome"] == "handled"
    assert [each["type"] for each in result["events"]] == ["payment.charged"]
    assert [each["table"] for each in result["rows"]] == ["charges"]
    assert result["calls"][0]["answers"] == ["charged", "declined"]
    wrong = client.post(address, json={"answer": "maybe"}, headers=OPS)
    assert wrong.status_code == 422
    assert wrong.json["errors"] == [
        {"field": "answer", "message": "there is no answer 'maybe'; there are: charged, declined"}
    ]
    nobody = f"/api/v1/dead-letters/{'0' * 8}-0000-7000-8000-{'0' * 12}:payment.x/dry-run"
    assert client.post(nobody, headers=OPS).status_code == 404
    assert client.post(address).status_code == 401
