"""/ops/replays: the list, the page of a job, its buttons, and the backfill."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete

from events import reading, transaction
from events.admin import dead_letters, replays
from events.tables import Attempt, Delivery
from events.testing import Bus
from tests.web.pages import OPS_HTML, post
from tests.web.payloads import OPS

CHARGE = "payment.charge_order"
pytestmark = pytest.mark.usefixtures("dead_charges")


def group() -> str:
    with reading() as session:
        [found] = dead_letters.groups(session)
    return f"{found.subscription} {found.fingerprint}"


def start(client: FlaskClient, **fields: str) -> str:
    fields = {"only": group(), "reason": "<b>mended</b>", "canary": "1"} | fields
    return post(client, "/ops/dead-letters", "/ops/dead-letters/replay", OPS, **fields).text


def test_a_group_is_replayed_by_a_canary_that_stops_on_its_page(
    client: FlaskClient, dead_charges: Bus
) -> None:
    page = start(client, rate="2")
    assert "Running: 0 of 3 handled, 0 died again" in page
    assert "2 each second" in page
    assert "&lt;b&gt;mended&lt;/b&gt;" in page
    for _ in range(10):
        dead_charges.advance(3600)
    page = client.get("/ops/replays/1", headers=OPS_HTML).text

    assert "Stopped at step 1: 1 died again, 2 are untouched" in page
    assert "At step 1, 1 of 1 died again: 100 % is over the limit of 10 %." in page
    assert "What now" in page
    assert "stopped here" in page
    assert "replay 1" in client.get("/ops/replays", headers=OPS_HTML).text


def test_a_job_is_paused_resumed_and_stopped_with_a_reason(client: FlaskClient) -> None:
    start(client)
    address = "/ops/replays/1"
    for what, words in (("pause", "is paused"), ("resume", "is running"), ("stop", "is stopped")):
        assert post(client, address, f"{address}/{what}", OPS, reason="").status_code == 422
        assert (
            f"The replay {words}"
            in post(client, address, f"{address}/{what}", OPS, reason="because").text
        )
    page = post(client, "/ops/replays", f"{address}/resume", OPS, reason="because").text
    assert "Nothing was changed: replay 1 is stopped" in page


def test_the_second_operator_is_led_to_the_job_of_the_first(client: FlaskClient) -> None:
    both = group()
    start(client, only=both)
    page = start(client, only=both)

    assert "Nothing was changed: replay 1 of ada" in page
    assert "Replay 1 · Tidings" in page


@pytest.mark.parametrize("rate", ["0", "-1", "1e3", "x", "99999", "\uff11"])
def test_a_rate_that_cannot_work_is_refused(client: FlaskClient, rate: str) -> None:
    assert "each second, or leave it empty" in start(client, rate=rate)
    with reading() as session:
        assert replays.listed(session) == []


def test_a_subscription_is_backfilled_on_the_page(client: FlaskClient) -> None:
    with transaction() as session:
        session.execute(delete(Attempt).where(Attempt.subscription == CHARGE))
        session.execute(delete(Delivery).where(Delivery.subscription == CHARGE))
    fields = {"subscription": CHARGE, "rate": "1", "reason": "new"}
    page = post(client, "/ops/replays", "/ops/replays/backfill", OPS, **fields).text
    assert "Running: 0 of 3 handled" in page
    again = post(client, "/ops/replays", "/ops/replays/backfill", OPS, **fields).text
    assert "Nothing was changed: replay 1 of ada" in again


def test_a_number_of_no_replay_is_not_found(client: FlaskClient) -> None:
    assert client.get("/ops/replays/7", headers=OPS_HTML).status_code == 404
    assert client.get("/ops/replays/x", headers=OPS_HTML).status_code == 422
