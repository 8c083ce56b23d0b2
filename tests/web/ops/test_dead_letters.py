"""The operators' pages of dead letters and invalid messages, and the audit of each action."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from events import reading, transaction
from events.admin import invalid_messages
from events.tables import Delivery
from tests.web.pages import (
    OPS_HTML,
    audit_log,
    hidden_field,
    place_order,
    post,
    running_services,
)
from tests.web.payloads import OPS


@pytest.fixture
def dead(client: FlaskClient) -> str:
    """The id of a dead letter."""
    with running_services() as bus:
        place_order(client, payment_token="tok_broken", name="<b>Eve</b>")
        for _ in range(12):
            bus.advance(600)
    with reading() as session:
        [delivery] = session.scalars(
            select(Delivery).where(Delivery.state == "dead", Delivery.queue == "payment")
        )
        return delivery.id


def _state(delivery_id: str) -> str:
    _, subscription = delivery_id.split(":")
    with reading() as session:
        return session.scalars(
            select(Delivery.state).where(Delivery.subscription == subscription)
        ).one()


def test_an_order_with_a_dead_letter_is_replayed_from_its_page(client: FlaskClient, dead: str):
    address = client.get("/ops/orders?number=1001", headers=OPS_HTML).location

    page = post(
        client, f"{address}?ask=replay", f"{address}/replay", OPS, reason="the gateway is mended"
    )

    assert "Replayed" in page.text
    assert _state(dead) == "retrying"


def test_dead_letters_are_grouped_by_what_went_wrong_and_counted_in_the_head(
    client: FlaskClient, dead: str
):
    page = client.get("/ops/dead-letters", headers=OPS_HTML).text

    assert re.search("dead letters? (with 2 causes )?holds? up 1 order and €42.50", page)
    assert "The customer who has waited longest" in page
    assert page.count(">€42.50</td>") == 1
    assert "<b>GatewayError</b>: payment sandbox: 500 for this card" in page
    assert "Replay 1" in page
    assert '<span class="badge">1</span>' in client.get("/ops/products", headers=OPS_HTML).text


def _group(client: FlaskClient) -> str:
    page = client.get("/ops/dead-letters", headers=OPS_HTML).text
    [value] = [
        line.split('value="')[1].split('"')[0]
        for line in page.splitlines()
        if 'name="group"' in line and "GatewayError" in line
    ]
    return value


@pytest.mark.parametrize(
    ("act", "state", "field"), [("replay", "retrying", "only"), ("discard", "discarded", "group")]
)
def test_a_group_is_replayed_or_discarded_with_a_reason(
    client: FlaskClient, dead: str, act: str, state: str, field: str
):
    selection = {field: _group(client)}

    page = post(
        client, "/ops/dead-letters", f"/ops/dead-letters/{act}", OPS, reason="mended", **selection
    )

    assert "1 delivery" in page.text
    assert _state(dead) == state
    assert ("ada", act, "mended") in audit_log()


def test_dead_letters_stay_dead_without_a_selection_or_a_reason(client: FlaskClient, dead: str):
    for typed in (
        {"group": "x"},
        {"group": "a b", "reason": " "},
        {"reason": "x"},
        {"reason": "x", "group": "y"},
    ):
        for act in ("replay", "discard"):
            assert (
                post(
                    client, "/ops/dead-letters", f"/ops/dead-letters/{act}", OPS, **typed
                ).status_code
                == 422
            )

    assert _state(dead) == "dead"


def test_more_groups_than_one_job_takes_are_refused_and_none_is_left_out(
    client: FlaskClient, dead: str
):
    keys = [*(f"email.announce_refund cause {each}" for each in range(100)), _group(client)]
    page = client.get("/ops/dead-letters", headers=OPS_HTML).text
    form = {"csrf_token": hidden_field(page, "csrf_token"), "reason": "x", "group": keys}
    answer = client.post("/ops/dead-letters/discard", data=form, headers=OPS_HTML)

    assert answer.status_code == 422
    assert "select at most 100 groups at once" in answer.text
    assert _state(dead) == "dead"


@pytest.mark.parametrize(("act", "state"), [("replay", "retrying"), ("discard", "discarded")])
def test_one_dead_letter_is_shown_with_every_attempt_and_can_be_settled(
    client: FlaskClient, dead: str, act: str, state: str
):
    address = f"/ops/dead-letters/{dead}"
    page = client.get(address, headers=OPS_HTML).text
    settled = post(client, address, f"{address}/{act}", OPS, reason="looked at")

    assert "</svg> dead letter</span>" in page
    assert "payment.charge_order gave ORD-1001 up after 8 attempts" in page
    assert "Traceback (most recent call last)" in page
    assert settled.status_code == 200
    assert _state(dead) == state


def test_a_dead_letter_that_somebody_settled_meanwhile_is_left_alone(
    client: FlaskClient, dead: str
):
    address = f"/ops/dead-letters/{dead}"
    post(client, address, f"{address}/discard", OPS, reason="first")

    page = post(client, "/ops/products", f"{address}/replay", OPS, reason="second")

    assert "the delivery is discarded, not dead" in page.text
    assert _state(dead) == "discarded"


def test_an_invalid_message_is_shown_as_text_and_can_be_taken_off_the_list(client: FlaskClient):
    with transaction() as session:
        invalid_messages.keep(
            session,
            queue="payment",
            reason="undecodable",
            error="<u>",
            headers='{"a": "<s>"}',
            body=b"\xff<script>",
        )

    page = client.get("/ops/dead-letters", headers=OPS_HTML).text
    discard = "/ops/dead-letters/invalid-messages/1/discard"
    after = post(client, "/ops/dead-letters", discard, OPS, reason="a test of ours")
    again = post(client, "/ops/replays", discard, OPS, reason="a second operator")

    assert "\\xff&lt;script&gt;" in page
    assert "<u>" not in page
    assert "<s>" not in page
    assert "undecodable" not in after.text
    assert "Nothing was changed: invalid message 1 is on the list no more." in again.text
