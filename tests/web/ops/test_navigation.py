"""The navigation of operators: its counts, its way from a number to a page, and error pages."""

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from events import clock, heartbeat, reading, transaction
from events.admin import invalid_messages
from events.tables import Delivery
from tests.web.pages import HTML, OPS_HTML, place_order, running_services
from web.ops import dead_letters, navigation, orders

BADGE = re.compile(r'>(Overview|Dead letters) <span class="badge">([\d,]+\+?)</span>')


def _counts(page: str) -> dict[str, str]:
    line = page.partition('<nav class="line"')[2].partition("</nav>")[0]
    return dict(BADGE.findall(line))


@pytest.fixture
def orders_with_dead_letters(client: FlaskClient) -> list[str]:
    """The addresses of three orders whose charge is a dead letter, all dead since the same time."""
    with running_services() as bus:
        addresses = [place_order(client) for _ in range(3)]
        bus.drain()
    died = {"state": "dead", "fingerprint": "ValueError x.py:1 f", "error": "ValueError: <b>"}
    with transaction() as session:
        charges = Delivery.subscription == "payment.charge_order"
        session.execute(update(Delivery).where(charges).values(died_at=clock.now(), **died))
        texts = {"reason": "undecodable", "error": "", "headers": "", "body": b"x"}
        invalid_messages.keep(session, queue="payment", **texts)
    return [address.partition("?")[0] for address in addresses]


def test_each_count_equals_the_rows_of_its_page(
    client: FlaskClient, orders_with_dead_letters: list[str]
):
    for path in ("/ops", "/ops/products", "/ops/dead-letters", "/ops/nothing"):
        page = client.get(path, headers=OPS_HTML).text
        assert _counts(page)["Dead letters"] == "3", path
    letters = client.get("/ops/dead-letters", headers=OPS_HTML).text
    overview = client.get("/ops", headers=OPS_HTML).text

    assert (
        letters.partition('id="letters"')[2].partition("</section>")[0].count("<tr data-row>") == 3
    )
    assert 'Not counted in: <a href="#invalid-messages">1 invalid message</a>' in letters
    assert overview.count('<div class="what">') >= int(_counts(overview)["Overview"]) > 0
    needs = overview.partition("Needs a person")[2].partition("</section>")[0]
    assert needs.count("<li>") == int(_counts(overview)["Overview"])


def test_dead_letters_of_a_queue_that_no_subscription_has_need_no_worker(
    client: FlaskClient, orders_with_dead_letters: list[str]
):
    with transaction() as session:
        gone = update(Delivery).where(Delivery.state == "dead")
        session.execute(gone.values(queue="gone", subscription="gone.charge_order"))
    overview = client.get("/ops", headers=OPS_HTML).text
    needs = overview.partition("Needs a person")[2].partition("</section>")[0]

    assert "3 deliveries of gone.charge_order died" in needs
    assert "Queue gone has no worker" not in needs
    assert needs.count("<li>") == int(_counts(overview)["Overview"])
    assert _counts(client.get("/ops/products", headers=OPS_HTML).text) == _counts(overview)


def test_more_dead_letters_than_a_page_counts_are_told_as_more(
    client: FlaskClient, orders_with_dead_letters: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(navigation, "MAX_COUNT", 3)

    assert _counts(client.get("/ops", headers=OPS_HTML).text)["Dead letters"] == "3+"


def test_nothing_is_counted_while_nothing_needs_a_person(client: FlaskClient):
    heartbeat.beat("relay@a", "relay")

    page = client.get("/ops", headers=OPS_HTML).text

    assert _counts(page) == {}
    assert "Nothing needs a person." in page


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/ops/nothing"), ("GET", "/ops/orders/1"), ("POST", "/ops/queues/x/pause")],
)
def test_an_error_keeps_the_navigation_for_operators_only(
    client: FlaskClient, method: str, path: str
):
    page = client.open(path, method=method, headers=OPS_HTML)
    anonymous = client.open(path, method=method, headers=HTML)

    assert page.status_code >= 400
    assert 'href="/ops/dead-letters"' in page.text
    assert 'href="/ops/dead-letters"' not in anonymous.text
    assert 'href="/ops/dead-letters"' not in client.get("/nothing", headers=OPS_HTML).text


def test_the_search_leads_from_each_id_to_its_page(client: FlaskClient):
    with running_services() as bus:
        address = place_order(client).partition("?")[0]
        bus.drain()
    with reading() as session:
        delivery = session.scalars(select(Delivery)).first()
    assert delivery

    def found(text: str) -> str:
        answer = client.get("/ops/find", query_string={"q": text}, headers=OPS_HTML)
        assert answer.status_code == 302
        return answer.location

    order_id = address.rpartition("/")[2]
    assert found(order_id) == f"/ops{address}"
    assert found(f" {delivery.event_id} ") == f"/ops/events/{delivery.event_id}"
    assert found(delivery.id) == f"/ops/dead-letters/{delivery.id}"
    assert client.get(found("1001"), headers=OPS_HTML).location == f"/ops{address}"
    assert found("") == "/ops/orders"
    for unknown in ("<b>", str(delivery.event_id)[:-4] + "0000"):
        page = client.get(found(unknown), headers=OPS_HTML)
        assert page.status_code == 404
        assert "There is no order" in page.text


def test_dead_letters_come_in_pages_even_if_all_died_at_once(
    client: FlaskClient, orders_with_dead_letters: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dead_letters, "MAX_ROWS", 2)
    first = client.get("/ops/dead-letters", headers=OPS_HTML).text
    [older] = re.findall(r'href="([^"]*before=[^"]*)"', first)
    second = client.get(older.replace("&amp;", "&"), headers=OPS_HTML).text
    bad = client.get("/ops/dead-letters?before=2026-01-01_x", headers=OPS_HTML)

    assert "2 of 3 are shown" in first
    assert "The last 1" in second
    numbers = [re.findall(r">(ORD-\d+)</a>", page) for page in (first, second)]
    assert numbers == [["ORD-1003", "ORD-1002"], ["ORD-1001"]]
    assert bad.status_code == 200


def test_an_order_that_does_not_go_on_looks_unlike_the_others(
    client: FlaskClient, orders_with_dead_letters: list[str], monkeypatch: pytest.MonkeyPatch
):
    with transaction() as session:
        [first, *_] = session.scalars(select(Delivery).where(Delivery.state == "dead"))
        first.state = "discarded"
        session.execute(
            update(orders.Order).values(status="placed", created_at=clock.now() - timedelta(1))
        )
    page = client.get("/ops/orders", headers=OPS_HTML).text
    only_stuck = client.get("/ops/orders?state=stuck", headers=OPS_HTML).text
    monkeypatch.setattr(orders, "PAGE_SIZE", 1)
    many = client.get("/ops/orders?state=stuck", headers=OPS_HTML).text

    assert "3 orders are stuck" in page
    assert page.count('class="alarm"') == 3
    assert page.count("</svg> stuck</span>") == 1
    assert page.count("</svg> dead letter</span>") == 2
    assert only_stuck.count("<tr data-row") == 3
    assert only_stuck.count("nothing: it was discarded, so the next step never comes") == 1
    assert only_stuck.count("a person: it is a dead letter") == 2
    assert "At least 1 order is stuck" in many
