"""The lists of the operators, which poll their own addresses."""

import re

import pytest
from flask.testing import FlaskClient

from tests.web.pages import OPS_HTML, hidden_field, place_order, running_services
from web.ops.live import HEADER

POLL = OPS_HTML | {HEADER: "yes"}
PAGES = [
    "/ops",
    "/ops/orders",
    "/ops/orders?state=stuck",
    "/ops/events",
    "/ops/queues",
    "/ops/dead-letters",
    "/ops/replays",
    "/ops/breakers",
    "/ops/alerts",
    "/ops/audit",
    "/ops/schedules",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_list_is_live_and_a_poll_is_answered_with_304_while_it_shows_the_same(
    client: FlaskClient, path: str
):
    page = client.get(path, headers=OPS_HTML)
    first = client.get(path, headers=POLL)
    again = client.get(path, headers=POLL | {"If-None-Match": first.headers["ETag"]})

    source = re.search(r'<div id="live" class="whole" data-source="([^"]*)"', page.text)
    assert source is not None
    assert source[1].rstrip("?") == path
    assert "ETag" not in page.headers
    assert '<header class="top">' in page.text
    assert '<header class="top">' not in first.text
    assert "<h1>" in first.text
    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")


def test_what_happened_is_in_the_answer_to_the_next_poll(client: FlaskClient):
    with running_services():
        pages = ("/ops", "/ops/orders", "/ops/events")
        tags = [client.get(path, headers=POLL).headers["ETag"] for path in pages]
        place_order(client)
        answers = [
            client.get(path, headers=POLL | {"If-None-Match": tag})
            for path, tag in zip(pages, tags, strict=True)
        ]

    assert [each.status_code for each in answers] == [200, 200, 200]
    assert "ORD-" in answers[1].text


def test_the_message_about_an_act_is_for_the_next_page_and_not_for_a_poll(client: FlaskClient):
    with running_services():
        token = hidden_field(client.get("/ops/breakers", headers=OPS_HTML).text, "csrf_token")
        fields = {"csrf_token": token, "reason": "the bank is closed"}
        client.post("/ops/breakers/payment/hold", data=fields, headers=OPS_HTML)
        polled = client.get("/ops/breakers", headers=POLL)
        page = client.get("/ops/breakers", headers=OPS_HTML)

    assert "The breaker of payment is on hold." not in polled.text
    assert "The breaker of payment is on hold." in page.text
