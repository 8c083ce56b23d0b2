"""/asyncapi.json and /asyncapi: the events for those who write programs against them."""

import re

from flask.testing import FlaskClient

from events import reading
from events.admin import event_catalog
from events.contracts.asyncapi import document
from tests.web.pages import running_services


def test_the_document_has_the_subscriptions_that_are_registered(client: FlaskClient) -> None:
    with running_services():
        answer = client.get("/asyncapi.json")
        with reading() as session:
            registered = event_catalog.of_database(session)

    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json == document(registered, title="Tidings")
    assert "payment.charge_order.order.created" in answer.json["operations"]


def test_the_page_shows_each_channel_and_loads_from_this_host_only(client: FlaskClient) -> None:
    with running_services():
        page = client.get("/asyncapi")
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', page.text)

    assert page.status_code == 200
    assert "<h2>order.created</h2>" in page.text
    assert "payment.charge_order handles it on queue payment" in page.text
    assert "order.created v1, OrderCreatedV1" in page.text
    assert all(address.startswith("/") for address in loaded)
    assert not re.search(r"<script[^>]*>[^<]", page.text)


def test_the_page_has_no_operators_navigation(client: FlaskClient) -> None:
    assert "/ops/dead-letters" not in client.get("/asyncapi").text
