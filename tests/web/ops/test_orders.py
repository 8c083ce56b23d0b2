"""/ops/orders: the list of orders, and what an operator does with one."""

import pytest
from flask.testing import FlaskClient

from tests.web.pages import OPS_HTML, audit_log, place_order, post
from tests.web.payloads import OPS


def test_the_list_of_orders_leads_to_each_and_finds_one_by_its_number(client: FlaskClient):
    address = place_order(client).partition("?")[0]

    assert f"/ops{address}" in client.get("/ops/orders", headers=OPS_HTML).text
    for number in ("ORD-1001", "ord-1001", " 1001 "):
        assert (
            client.get("/ops/orders", query_string={"number": number}, headers=OPS_HTML).location
            == f"/ops{address}"
        )
    unknown = client.get("/ops/orders?number=<9>", headers=OPS_HTML)
    assert unknown.status_code == 404
    assert "There is no order &lt;9&gt;." in unknown.text


@pytest.mark.parametrize(
    ("path", "rows"), [("/ops/orders", "ORD-"), ("/ops/events", "order.created</b>")]
)
def test_long_lists_come_in_pages(client: FlaskClient, path: str, rows: str):
    for _ in range(52):
        place_order(client)
    first = client.get(path, headers=OPS_HTML).text
    [older] = [line.split('"')[5] for line in first.splitlines() if ">Older<" in line]
    second = client.get(older.replace("&amp;", "&"), headers=OPS_HTML).text

    assert (first + second).count(rows) >= 52
    assert ">Older<" not in second
    assert "ORD-1052" in first
    assert "ORD-1052" not in second
    assert "ORD-1001" in second


@pytest.mark.parametrize("before", ["x", "-1", "0", str(10**30)])
def test_a_senseless_page_number_is_the_first_page(no_write_client: FlaskClient, before: str):
    assert no_write_client.get(f"/ops/orders?before={before}", headers=OPS_HTML).status_code == 200


def test_an_operator_may_cancel_an_order_and_gives_a_reason(client: FlaskClient):
    address = "/ops" + place_order(client).partition("?")[0]

    page = post(
        client, f"{address}?ask=cancel", f"{address}/cancel", OPS, reason="the customer called"
    )

    assert "Cancelled: the customer called" in page.text
    assert ("ada", "cancel", "the customer called") in audit_log()
