"""/ops/orders/<id>/trace, its API, and the list of stuck orders with what each waits for."""

import re

from flask.testing import FlaskClient

from events import heartbeat, transaction
from events.admin import subscriptions
from tests.web.pages import HTML, OPS_HTML, place_order, post, running_services
from tests.web.payloads import OPS


def test_the_page_and_the_api_tell_where_the_time_of_an_order_went(client: FlaskClient):
    with running_services() as bus:
        path = place_order(client, payment_token="tok_flaky").partition("?")[0]
        bus.drain()
        waiting = client.get(f"/ops{path}/trace", headers=OPS_HTML).text
        for _ in range(3):
            bus.advance(600)
        page = client.get(f"/ops{path}/trace", headers=OPS_HTML).text
        only_path = client.get(f"/ops{path}/trace?only=path", headers=OPS_HTML).text
        answer = client.get(f"/api/v1{path}/trace", headers=OPS).get_json()
        order = client.get(f"/ops{path}", headers=OPS_HTML).text

    assert 'data-final="no"' in waiting
    assert "Not done after" in waiting
    assert f"<h1>{answer['summary']}</h1>" in page
    assert answer["summary"].startswith("Shipped after 20 min; 20 min of it in payment.charge")
    assert "cut short." in page
    assert re.search(r'<rect class="failed critical" x="[\d.]+%" width="[\d.]+%"', page)
    assert "attempt 1: ConnectionError" in page
    assert re.search(r'class="axis" role="img" aria-label="waiting to be sent, .*; handled', page)
    assert "style=" not in page
    assert "inventory.reserve_stock" in page
    assert "inventory.reserve_stock" not in only_path
    assert "payment.charge_order" in only_path
    assert sum(part["took"] for part in answer["critical_path"]) - answer["took"] < 0.001
    assert f'href="/ops{path}/trace"' in order


def test_the_polled_part_is_answered_with_304_until_something_happens(client: FlaskClient):
    with running_services() as bus:
        path = place_order(client).partition("?")[0]
        live = f"/ops{path}/trace/live"
        first = client.get(live, headers=OPS_HTML)
        tag = {"If-None-Match": first.headers["ETag"]}
        unchanged = client.get(live, headers=OPS_HTML | tag)
        bus.drain()
        changed = client.get(live, headers=OPS_HTML | tag)

    assert (first.status_code, unchanged.status_code, changed.status_code) == (200, 304, 200)
    assert "csrf_token" not in first.text


def test_stuck_orders_are_listed_with_what_they_wait_for(client: FlaskClient):
    with running_services() as bus:
        heartbeat.beat("relay@box", "relay")
        with transaction() as session:
            subscriptions.pause(session, "payment.charge_order", who="ada", why="<b>bank</b>")
        path = place_order(client).partition("?")[0]
        bus.drain()
        page = client.get("/ops/orders?state=stuck", headers=OPS_HTML).text
        orders = client.get("/ops/orders", headers=OPS_HTML).text
        trace = client.get(f"/ops{path}/trace", headers=OPS_HTML).text
        [stuck] = client.get("/api/v1/orders/stuck", headers=OPS).get_json()["orders"]
        post(client, f"/ops{path}?ask=cancel", f"/ops{path}/cancel", OPS, reason="gone")
        after = client.get("/api/v1/orders/stuck", headers=OPS).get_json()

    waits_for = "its subscription, which is paused by ada: &lt;b&gt;bank&lt;/b&gt;"
    assert "1 order is stuck" in page
    assert waits_for in page
    assert waits_for in trace
    assert "by a person" in page
    assert "Show what they wait for" in orders
    assert "</svg> stuck</span>" in orders
    assert (stuck["number"], stuck["person"], stuck["waits"][0]["what"]) == (
        "ORD-1001",
        True,
        "payment.charge_order",
    )
    assert after == {"orders": [], "more": False}


def test_traces_are_for_operators_and_of_orders_that_exist(client: FlaskClient):
    path = place_order(client).partition("?")[0]
    unknown = path[:-4] + "0000"

    for address in (f"/ops{path}/trace", f"/api/v1{path}/trace", "/api/v1/orders/stuck"):
        assert client.get(address, headers=HTML).status_code == 401
    for address in (f"/ops{unknown}/trace", f"/ops{unknown}/trace/live"):
        assert client.get(address, headers=OPS_HTML).status_code == 404
    assert client.get(f"/api/v1{unknown}/trace", headers=OPS).status_code == 404
    assert client.get("/api/v1/orders/stuck?limit=0", headers=OPS).status_code == 422
