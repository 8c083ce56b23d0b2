"""The operators' pages: what they show, what can be done on them, and that it is written down who did it."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

import tasks.settings as tasks_settings
from events import Database, heartbeat, reading, transaction
from events.admin import dead_letters, subscriptions
from events.tables import AuditEntry
from tasks.inventory import shelf
from tests.web.asking import OPS
from tests.web.pages import HTML, audited, ordered, post, working

PAGES = ["", "/orders", "/products", "/events", "/dead-letters", "/queues", "/catalog", "/mails"]
HANDS = HTML | OPS


@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_operators_asks_for_the_login(refused: FlaskClient, path: str):
    stranger = refused.get("/ops" + path, headers=HTML)
    assert stranger.status_code == 401
    assert "Dead letters" not in stranger.text
    answer = refused.get("/ops" + path, headers=HANDS)
    assert answer.status_code == 200
    assert "Dead letters" in answer.text


def test_while_the_database_is_down_operators_are_told_so(app: Flask, database: Database):
    client = app.test_client()
    with database.writer.begin() as connection:
        connection.exec_driver_sql("DROP TABLE subscriptions")

    answer = client.get("/ops/queues", headers=HANDS)

    assert answer.status_code == 500
    assert "Internal error" in answer.text


def test_the_overview_says_when_nothing_can_go_on(client: FlaskClient):
    with working() as bus:
        ordered(client)
        before = client.get("/ops", headers=HANDS).text
        heartbeat.beat("relay@a", "relay", trouble="connection refused")
        bus.send_due()
        after = client.get("/ops", headers=HANDS).text

    assert "No relay is alive" in before
    assert "The broker does not answer relay@a: connection refused." in after
    assert "No worker serves the queue payment; 1 delivery waits there." in after


def test_the_overview_is_content_when_all_is_well(client: FlaskClient):
    heartbeat.beat("relay@a", "relay")

    assert "All is well" in client.get("/ops", headers=HANDS).text


def test_the_overview_names_what_waits_for_a_decision_and_what_nothing_moves_any_more(
    client: FlaskClient,
):
    heartbeat.beat("relay@a", "relay")
    with working() as bus:
        ordered(client, payment_token="tok_broken")
        for _ in range(12):
            bus.advance(600)
        dead = client.get("/ops", headers=HANDS).text
        with transaction() as session:
            dead_letters.discard(session, who="ada", everything=True)
        stranded = client.get("/ops", headers=HANDS).text

    assert "All is well" not in dead
    assert re.search(r"\d dead letters? needs? a decision", " ".join(dead.split()))
    assert "Nothing moves" not in dead
    assert "All is well" not in stranded
    assert re.search(r"Nothing moves <a href=\S+>ORD-1001</a> any more", stranded)


def test_the_list_of_orders_leads_to_each_and_finds_one_by_its_number(client: FlaskClient):
    address = ordered(client).partition("?")[0]

    assert f"/ops{address}" in client.get("/ops/orders", headers=HANDS).text
    for number in ("ORD-1001", "ord-1001", " 1001 "):
        assert (
            client.get("/ops/orders", query_string={"number": number}, headers=HANDS).location
            == f"/ops{address}"
        )
    unknown = client.get("/ops/orders?number=<9>", headers=HANDS)
    assert unknown.status_code == 404
    assert "There is no order &lt;9&gt;." in unknown.text


@pytest.mark.parametrize(
    ("path", "rows"), [("/ops/orders", "ORD-"), ("/ops/events", "order.created</b>")]
)
def test_long_lists_come_in_pages(client: FlaskClient, path: str, rows: str):
    for _ in range(52):
        ordered(client)
    first = client.get(path, headers=HANDS).text
    [older] = [line.split('"')[5] for line in first.splitlines() if ">Older<" in line]
    second = client.get(older.replace("&amp;", "&"), headers=HANDS).text

    assert (first + second).count(rows) >= 52
    assert ">Older<" not in second
    assert "ORD-1052" in first
    assert "ORD-1052" not in second
    assert "ORD-1001" in second


@pytest.mark.parametrize("before", ["x", "-1", "0", str(10**30)])
def test_a_senseless_page_number_is_the_first_page(refused: FlaskClient, before: str):
    assert refused.get(f"/ops/orders?before={before}", headers=HANDS).status_code == 200


def test_an_operator_may_cancel_an_order_and_says_why(client: FlaskClient):
    address = "/ops" + ordered(client).partition("?")[0]

    page = post(client, address, f"{address}/cancel", OPS, reason="the customer rang")

    assert "Cancelled: the customer rang" in page.text
    assert ("ada", "cancel", "the customer rang") in audited()


def test_restocking_puts_more_on_the_shelf_and_is_written_down(client: FlaskClient):
    page = post(
        client,
        "/ops/products",
        "/ops/products/MUG-BLUE",
        OPS,
        quantity="25",
        reason="a pallet came",
    )

    assert "25 more of MUG-BLUE are on the shelf." in page.text
    with reading() as session:
        assert shelf(session)["MUG-BLUE"] == 125
    assert audited()[0] == ("ada", "restock", "25 more: a pallet came")


@pytest.mark.parametrize(
    ("sku", "typed"),
    [
        ("MUG-BLUE", {"quantity": "0", "reason": "x"}),
        ("MUG-BLUE", {"quantity": "100001", "reason": "x"}),
        ("MUG-BLUE", {"quantity": "many", "reason": "x"}),
        ("MUG-BLUE", {"quantity": "9" * 5000, "reason": "x"}),
        ("MUG-BLUE", {"quantity": "1", "reason": "  "}),
        ("CAR", {"quantity": "1", "reason": "x"}),
    ],
)
def test_a_senseless_restocking_changes_nothing(
    refused: FlaskClient, sku: str, typed: dict[str, str]
):
    assert post(refused, "/ops/products", f"/ops/products/{sku}", OPS, **typed).status_code == 422


def test_the_log_of_events_is_filtered_by_type_and_by_what_they_are_about(client: FlaskClient):
    with working() as bus:
        ordered(client)
        ordered(client)
        bus.drain()
    page = client.get("/ops/events?type=payment.charged&subject=ORD-1002", headers=HANDS).text

    assert "<b>payment.charged</b>" in page
    assert "<b>order.created</b>" not in page
    assert "subject=ORD-1002" in page
    assert "subject=ORD-1001" not in page


def test_an_event_is_shown_with_its_origin_its_deliveries_and_the_cloudevent(client: FlaskClient):
    client.environ_base["HTTP_X_TENANT_ID"] = "acme"
    client.environ_base["HTTP_USER_AGENT"] = "<i>curl</i>"
    with working() as bus:
        ordered(client, name=NAME)
        bus.drain()
    listed = client.get("/ops/events?type=order.created", headers=HANDS).text
    [link] = [line.split('"')[1] for line in listed.splitlines() if "<b>order.created</b>" in line]
    page = client.get(link, headers=HANDS).text

    for shown in (
        "acme",
        "&lt;i&gt;curl&lt;/i&gt;",
        "127.0.0.1",
        "00-",
        "payment.charge_order",
        "&#34;specversion&#34;: &#34;1.0&#34;",
    ):
        assert shown in page, shown
    assert "inventory.reserved" in page
    assert "<i>" not in page


NAME = "<i>Ada</i>"


@pytest.mark.parametrize(
    "path",
    [
        "events/01a2078e-dbc3-70e2-bd43-ff936927098b",
        "dead-letters/x",
        "dead-letters/1:2",
        "orders/1",
        "nothing",
    ],
)
def test_what_does_not_exist_is_a_page_that_says_so(refused: FlaskClient, path: str):
    answer = refused.get(f"/ops/{path}", headers=HANDS)

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_a_subscription_is_paused_and_resumed_with_a_reason(client: FlaskClient):
    with working():
        paused = post(
            client,
            "/ops/queues",
            "/ops/queues/payment.charge_order/pause",
            OPS,
            reason="<b>bank</b> holiday",
        ).text
        resumed = post(
            client, "/ops/queues", "/ops/queues/payment.charge_order/resume", OPS, reason="over"
        ).text

    assert "by ada: &lt;b&gt;bank&lt;/b&gt; holiday" in paused
    assert 'class="pill wait">paused' in paused
    assert 'class="pill wait">paused' not in resumed
    assert [act for _, act, _ in audited()] == ["resume", "pause"]
    with reading() as session:
        assert subscriptions.find(session, "payment.charge_order").paused_at is None


def test_pausing_an_unknown_subscription_is_refused(client: FlaskClient):
    with working():
        assert (
            post(
                client, "/ops/queues", "/ops/queues/nobody.listens/pause", OPS, reason="x"
            ).status_code
            == 404
        )


def test_the_queues_page_shows_what_waits_and_who_works(client: FlaskClient):
    heartbeat.beat("payment@box", "worker", ["payment"])
    with working() as bus:
        ordered(client)
        bus.send_due()
        page = client.get("/ops/queues", headers=HANDS).text

    assert "payment@box" in page
    assert "order.created" in page


def test_the_catalog_shows_every_type_with_its_schemas_and_who_hears_it(client: FlaskClient):
    with working():
        page = client.get("/ops/catalog", headers=HANDS).text

    assert "<b>OrderCreated</b> <code>order.created</code>" in page
    assert "JSON Schema of v1" in page
    assert "&#34;payment_token&#34;" in page
    assert "inventory.reserve_stock" in page


def test_mails_of_the_local_sink_are_shown_as_text(
    client: FlaskClient, tmp_path: Path, environment: pytest.MonkeyPatch
):
    (tmp_path / "mail").mkdir()
    for name, raw in MAILS.items():
        (tmp_path / "mail" / f"{name}.eml").write_bytes(raw)
    environment.setenv("MAIL_DIR", str(tmp_path / "mail"))
    tasks_settings.settings.cache_clear()

    page = client.get("/ops/mails", headers=HANDS).text

    assert "Your order &lt;i&gt;1&lt;/i&gt;" in page
    assert "Dear &lt;b&gt;Ada&lt;/b&gt; × 2" in page
    assert "(cannot be read: IndexError)" in page
    assert "(no text in it)" in page
    assert "<b>Ada" not in page


MAILS = {
    "good": (
        "From: shop@x.example\nTo: ada@example.org\nSubject: Your order <i>1</i>\n"
        "Content-Type: text/plain; charset=utf-8\n\nDear <b>Ada</b> × 2"
    ).encode(),
    "html": b"Subject: html only\nContent-Type: text/html\n\n<b>Ada</b>",
    "charset": b"Subject: odd\nContent-Type: text/plain; charset=nonsense\n\n\xff",
    "empty": b"",
    "header": b"Subject: =?utf-8?q?=ff?=\nTo: a,b,,<\n\nx",
}


def test_without_a_mail_sink_the_page_says_so(
    client: FlaskClient, tmp_path: Path, environment: pytest.MonkeyPatch
):
    environment.setenv("MAIL_DIR", str(tmp_path / "none"))
    tasks_settings.settings.cache_clear()

    assert "There is no local mail sink here" in client.get("/ops/mails", headers=HANDS).text


CHANGES = [
    "/ops/products/MUG-BLUE",
    "/ops/dead-letters/replay",
    "/ops/dead-letters/discard",
    "/ops/dead-letters/x/replay",
    "/ops/dead-letters/x/discard",
    "/ops/dead-letters/invalid-messages/1/discard",
    "/ops/queues/payment.charge_order/pause",
    "/ops/queues/payment.charge_order/resume",
    "/ops/orders/01a2078e-dbc3-70e2-bd43-ff936927098b/cancel",
    "/ops/orders/01a2078e-dbc3-70e2-bd43-ff936927098b/replay",
]


@pytest.mark.parametrize("path", CHANGES)
def test_nothing_is_changed_without_the_login_or_by_a_form_that_is_not_ours(
    refused: FlaskClient, path: str
):
    typed = {"reason": "x", "quantity": "1"}

    assert refused.post(path, data=typed, headers=HANDS).status_code == 400
    assert post(refused, "/", path, **typed).status_code == 401
    assert refused.get(path, headers=HANDS).status_code in (404, 405)
    with reading() as session:
        assert session.scalars(select(AuditEntry)).all() == []
