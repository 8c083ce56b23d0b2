"""The search of events and dead letters: one syntax on the page, over the API and in commands."""

import re
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from events import clock, transaction
from events.search import dead, find
from events.tables import Delivery
from tasks import erasure
from tests.tidings.cli.calls import answered, call, told
from tests.web.pages import OPS_HTML, place_order, running_services
from tests.web.payloads import OPS

EMAIL = "ada@example.org"


@pytest.fixture
def shop(client: FlaskClient) -> FlaskClient:
    """Two orders, of which the charges are dead letters."""
    with running_services() as bus:
        place_order(client)
        place_order(client, email="bob@example.org", name="<b>Bob</b>")
        bus.drain()
    died = {"state": "dead", "fingerprint": "Timeout x.py:1 f", "error": "Timeout: <b> timed out"}
    with transaction() as session:
        charges = Delivery.subscription == "payment.charge_order"
        session.execute(update(Delivery).where(charges).values(died_at=clock.now(), **died))
    return client


def _page(client: FlaskClient, path: str, query: str) -> str:
    answer = client.get(path, query_string={"q": query}, headers=OPS_HTML)
    assert answer.status_code == 200
    return answer.text


def _api(client: FlaskClient, path: str, query: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1/{path}", query_string={"q": query}, headers=OPS)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("type:order.created", 2),
        ("type:order.created subject:1002", 1),
        (f"type:order.created data.email={EMAIL}", 1),
        ("type:order.created data.customer=<b>Bob</b>", 1),
        ('error:"timed out" since:2020-01-01', 2),
        ("error:5%", 0),
        ("type:order.created user:ada", 0),
    ],
)
def test_page_api_and_command_find_the_same_events(shop: FlaskClient, query: str, count: int):
    page = _page(shop, "/ops/events", query)

    assert page.count("<tr data-row>") == count
    assert unescape(re.findall(r'id="q" name="q" value="([^"]*)"', page)[0]) == query
    assert "<b>Bob" not in page
    assert len(_api(shop, "events", query)["events"]) == count
    assert len(answered("events", "list", "--query", query)) == count


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ('error:"<b> timed out"', 2),
        ("subject:ORD-1001 queue:payment", 1),
        (f"data.email={EMAIL} subscription:payment.charge_order", 1),
        ('fingerprint:"Timeout x.py:1 f" until:2020-01-01', 0),
        ("queue:email", 0),
    ],
)
def test_page_api_and_command_find_the_same_dead_letters(shop: FlaskClient, query: str, count: int):
    page = _page(shop, "/ops/dead-letters", query)
    letters = page.partition('id="letters"')[2].partition("</section>")[0]

    assert letters.count("<tr data-row>") == count
    assert len(_api(shop, "dead-letters", query)["dead_letters"]) == count
    assert len(answered("dead-letters", "list", "-q", query)) == count


@pytest.mark.parametrize(
    ("query", "position"),
    [
        *(("ORD-1001", 1), ("type:a <i>:b", 8), ("error:\0", 7), ("id:x", 1)),
        *(('error:"\u202e"', 8), ("since:2026-11-25 until:2026-11-24", 18)),
    ],
)
@pytest.mark.parametrize("what", ["events", "dead-letters"])
def test_a_mistake_is_told_by_position_and_nothing_is_searched(
    shop: FlaskClient, what: str, query: str, position: int
):
    page = shop.get(f"/ops/{what}", query_string={"q": query}, headers=OPS_HTML)
    answer = shop.get(f"/api/v1/{what}", query_string={"q": query}, headers=OPS)
    command = call(what, "list", "--query", query)

    assert (page.status_code, answer.status_code, command.exit_code) == (422, 422, 2)
    assert f"character {position}" in page.text.lower()
    assert "<i>" not in page.text
    assert answer.json
    [error] = answer.json["errors"]
    assert error["field"] == "q"
    assert f"character {position}" in error["message"]
    assert f"character {position}" in command.stderr


def test_acts_until_a_time_before_the_first_are_refused_by_name(shop: FlaskClient):
    what = {"since": "2026-11-25", "until": "2026-11-24"}
    page = shop.get("/ops/audit", query_string=what, headers=OPS_HTML)
    answer = shop.get("/api/v1/audit", query_string=what, headers=OPS)
    command = call("audit", "--since", "2026-11-25", "--until", "2026-11-24")

    assert (page.status_code, answer.status_code, command.exit_code) == (422, 422, 2)
    reason = "write an until that is after since"
    assert answer.json
    [error] = answer.json["errors"]
    assert error["field"] == "until"
    for said in (page.text, error["message"], command.stderr):
        assert reason in " ".join(said.split())
    one_day = what | {"until": what["since"]}
    assert shop.get("/api/v1/audit", query_string=one_day, headers=OPS).status_code == 200


def test_a_query_without_end_is_refused(shop: FlaskClient):
    query = "error:" + "%" * 2000

    assert shop.get("/ops/events", query_string={"q": query}, headers=OPS_HTML).status_code == 422
    assert shop.get("/api/v1/events", query_string={"q": query}, headers=OPS).status_code == 422
    assert call("events", "list", "-q", query).exit_code == 2


def test_a_search_of_a_part_says_so_and_goes_on(shop: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    for module in (find, dead):
        monkeypatch.setattr(module, "WINDOW", 1)
    for path, query in (("events", "user:nobody"), ("dead-letters", "user:nobody")):
        page = _page(shop, f"/ops/{path}", query)
        assert re.search(r"Searched the newest 1 of about \d+ (events|dead letters)", page), path
        [older] = re.findall(r'href="([^"]*before=[^"]*)">Older', page)
        assert "q=user:nobody" in unescape(older)
        assert shop.get(unescape(older), headers=OPS_HTML).status_code == 200
        found = _api(shop, path, query)
        assert found["note"].startswith("searched the newest 1 of about ")
        assert shop.get(found["next"], headers=OPS).status_code == 200
        command = call(path, "list", "-q", query)
        further = re.findall(r"--before (\S+)", command.stderr)
        assert told(path, "list", "-q", query, "--before", further[0]), path


def test_what_was_erased_is_not_found(shop: FlaskClient):
    query = f"data.email={EMAIL}"
    assert len(answered("events", "list", "-q", query)) > 0
    assert len(answered("dead-letters", "list", "-q", query)) == 1

    erasure.erase(EMAIL, who="ada", why="asked for it", force=True)

    for what, key in (("events", "events"), ("dead-letters", "dead_letters")):
        for wanted in (query, 'data.customer="Ada Example"'):
            assert _api(shop, what, wanted)[key] == []
            assert answered(what, "list", "-q", wanted) == []


def test_a_link_to_a_type_or_a_subject_fills_the_search(shop: FlaskClient):
    page = shop.get("/ops/events?type=order.created&subject=ORD-1001", headers=OPS_HTML).text

    assert 'value="type:order.created subject:ORD-1001"' in page
    assert page.count("<tr data-row>") == 1
