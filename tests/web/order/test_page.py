"""The page of an order: steps, timeline, the polled part, cancelling."""

import re
from datetime import datetime
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from events import clock, transaction
from tasks.gateways import sandbox_switch
from tests.tasks.mailserver import MailServer
from tests.web.pages import HTML, OPS_HTML, place_order, post, running_services
from tests.web.payloads import OPS


@pytest.fixture(scope="module")
def mail_server():
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _mailed(mail_server: MailServer, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SMTP_URL", mail_server.url)
    environment.setenv("PUBLIC_URL", "https://shop.example.com")


SHIPPED_BY = (
    *("OrderCreated", "InventoryReserved", "PaymentCharged"),
    *("OrderConfirmed", "OrderShipped"),
)


def _live(address: str) -> str:
    return address.replace("?", "/live?")


def test_an_order_that_went_well_shows_its_steps_with_times_and_every_event(client: FlaskClient):
    with running_services() as bus:
        address = place_order(client)
        bus.drain()
        page = client.get(address).text

        operator = client.get("/ops" + address.partition("?")[0], headers=OPS).text

    assert _steps(page) == [
        ("done", "Placed"),
        ("done", "Items set aside"),
        ("done", "Paid"),
        ("done", "Confirmed"),
        ("done", "On its way"),
    ]
    assert _steps(operator)[1] == ("done", "Stock reserved")
    assert len(re.findall(r"<span>\+\d+\.\d\d sec</span>", operator)) == 4
    assert "Shipped. It is on its way to you." in page
    for event in SHIPPED_BY:
        assert f"<b>{event}</b>" in operator
        assert event not in page
    assert '<svg class="shape busy"' not in page + operator  # nothing is under way any more
    assert "We mailed you “Order shipped”" in page
    assert "a***@example.org" in page
    assert "<p>Paid: €42.50</p>" in page
    assert "Paid: €42.50 · caused by OrderCreated" in operator
    assert 'data-final="yes"' in page
    assert "http-equiv" not in page


def test_the_page_and_the_api_tell_how_long_the_items_are_set_aside(client: FlaskClient):
    with running_services() as bus:
        with transaction() as session:
            sandbox_switch(session, "payment", down=True)
        address = place_order(client)
        bus.drain()
        page, state = client.get(_live(address)).text, _state(client, address)
        operator = client.get("/ops" + address.partition("?")[0], headers=OPS).text
        until = datetime.fromisoformat(state["reserved_until"])
        bus.clock.advance((until - clock.now()).total_seconds() + 1)
        late = client.get(_live(address)).text
        bus.drain()
        bus.advance(60)
        after, final = client.get(_live(address)).text, _state(client, address)

    assert "The items are set aside until" in page
    assert "48 hr from now" in page
    assert f'<time datetime="{until.isoformat()}">' in page
    assert "The items are set aside until" in operator
    assert "It was not paid in time, and is about to be cancelled." in late
    assert "set aside until" not in after
    assert "it was not paid within 2 days" in after
    assert (final["status"], final["reserved_until"]) == ("cancelled", None)


def _state(client: FlaskClient, address: str) -> dict[str, str | None]:
    state: dict[str, str | None] = client.get("/api/v1" + address).get_json()
    return state


def _steps(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<li class="(\w+)"[^>]*><svg.*?</svg>([^<]+?) *<', page)[:5]


def test_before_any_service_has_worked_the_page_is_kept_fresh(client: FlaskClient):
    with running_services():
        page = client.get(place_order(client)).text

    assert 'data-final="no"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "Placed. We are processing it." in page


def test_an_open_form_is_not_refreshed_away(client: FlaskClient):
    with running_services() as bus:
        address = place_order(client)
        asked = client.get(address + "&ask=cancel").text
        bus.drain()
        shipped = client.get(address + "&ask=cancel").text

    assert 'id="cancel-reason"' in asked
    assert "http-equiv" not in asked
    assert "ask=cancel" in asked.partition('data-source="')[2].partition('"')[0]
    assert 'id="cancel-reason"' not in shipped


@pytest.mark.parametrize("ask", ["replay", "x", "<b>"])
def test_a_customer_is_asked_for_nothing_but_the_reason_of_a_cancellation(
    client: FlaskClient, ask: str
):
    page = client.get(f"{place_order(client)}&ask={quote(ask)}").text

    assert "csrf_token" not in page
    assert "<b>" not in page


def test_a_failed_attempt_is_shown_with_its_number_and_the_time_of_the_next(client: FlaskClient):
    with running_services() as bus:
        address = place_order(client, payment_token="tok_flaky")
        bus.drain()
        plain = client.get(address).text
        waiting = client.get(address, headers=OPS).text
        for _ in range(4):
            bus.advance(120)
        ended = client.get(address, headers=OPS).text

    assert "Placed. The payment takes longer than usual." in plain
    assert "The bank did not answer. We try again." in plain
    assert "<b>payment</b> could not charge order: <code>ConnectionError" in waiting
    assert "attempt 1 of" in waiting
    assert re.search(r"next attempt at \d\d:\d\d:\d\d<b data-until=", waiting)
    assert "Payment retrying" in waiting
    assert "attempt 2 of" in ended
    assert "(3 attempts)" in ended
    assert 'data-final="yes"' in ended


def test_what_an_error_says_is_for_operators_only(client: FlaskClient):
    with running_services() as bus:
        address = place_order(client, payment_token="tok_broken")
        for _ in range(12):
            bus.advance(600)
        customer = client.get(address).text
        operator = client.get("/ops" + address.partition("?")[0], headers=OPS).text

    assert "The bank did not answer. We are looking into it." in customer
    assert "GatewayError" not in customer
    assert "500 for this card" not in customer
    assert "DeliveryDead" not in customer
    assert "/ops/" not in customer
    assert "gave up; replay or discard it" in operator
    assert "GatewayError: payment sandbox: 500 for this card" in operator
    assert "ada@example.org" in operator
    assert "Payment stuck" in operator
    assert "raw event" in operator


def test_a_declined_order_says_why_and_what_was_given_back(client: FlaskClient):
    with running_services() as bus:
        address = place_order(client, payment_token="tok_declined")
        bus.drain()
        page = client.get(address).text

    assert "Cancelled: payment failed: the card was declined" in page
    assert "given back" in page
    assert "declined" in page
    assert 'data-final="yes"' in page


def test_the_polled_part_is_answered_with_304_until_something_happens(client: FlaskClient):
    with running_services() as bus:
        live = _live(place_order(client))
        first = client.get(live)
        unchanged = client.get(live, headers={"If-None-Match": first.headers["ETag"]})
        bus.drain()
        changed = client.get(live, headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, unchanged.status_code, changed.status_code) == (200, 304, 200)
    assert unchanged.data == b""
    assert "csrf_token" not in first.text
    assert "no-store" not in first.headers["Cache-Control"]
    assert 'data-final="yes"' in changed.text


def test_a_customer_may_cancel_until_the_order_is_shipped(client: FlaskClient):
    with running_services() as bus:
        address = place_order(client)
        page = post(
            client,
            f"{address}&ask=cancel",
            address.replace("?", "/cancel?"),
            reason="  changed\nmy <mind>  ",
        )
        bus.drain()
        after = client.get(address).text

    assert page.status_code == 200
    assert "Cancelled: changed my &lt;mind&gt;" in page.text
    assert 'id="cancel"' not in after


def test_cancelling_too_late_says_so_and_changes_nothing(client: FlaskClient):
    with running_services() as bus:
        address = place_order(client)
        bus.drain()
        page = post(client, "/", address.replace("?", "/cancel?"))

    assert "Nothing was changed: ORD-1001 is shipped already." in page.text
    assert "Shipped" in page.text


@pytest.mark.parametrize("with_login", [False, True])
def test_an_order_is_cancelled_by_nobody_without_its_token_or_our_form(
    client: FlaskClient, with_login: bool
):
    address = place_order(client)
    order, _ = address.split("?")

    without_form = client.post(
        address.replace("?", "/cancel?"), headers=HTML | (OPS if with_login else {})
    )
    with_wrong_token = post(client, "/", order + "/cancel?token=wrong")

    assert without_form.status_code == 400
    assert with_wrong_token.status_code == 403
    assert "We are processing it" in client.get(address).text


def test_an_operator_who_is_logged_in_sees_more_on_the_customers_page(client: FlaskClient):
    address = place_order(client)

    assert "raw event" in client.get(address, headers=OPS).text
    assert "raw event" in client.get(address.partition("?")[0], headers=OPS).text
    assert "raw event" not in client.get(address).text


def test_a_charge_that_cannot_be_made_now_is_shown_without_a_number_of_attempts(
    client: FlaskClient,
):
    with transaction() as session:
        sandbox_switch(session, "payment", down=False, status=503, retry_after="60")
    with running_services() as bus:
        address = place_order(client)
        for _ in range(12):
            bus.advance(61)
        page = client.get(address, headers=OPS).text
        [delivery] = [row for row in bus.deliveries() if row.subscription == "payment.charge_order"]
        details = client.get(f"/ops/events/{delivery.event_id}", headers=OPS_HTML).text

    assert delivery.attempts > 8
    assert f"attempt {delivery.attempts + 1}, next" in page
    assert f"· attempt {delivery.attempts} ·" in page
    assert not re.search(r"attempt \d+ of", page)
    assert re.search(rf">{delivery.attempts}</a>, until \w{{3}} \d+ \w{{3}} \d\d:\d\d", details)


def test_the_link_in_a_mail_opens_the_page(client: FlaskClient, mail_server: MailServer):
    mail_server.empty()
    with running_services() as bus:
        address = place_order(client)
        bus.drain()

    links = {
        line.removeprefix("https://shop.example.com")
        for mail in mail_server.mails
        for line in str(mail.get_content()).splitlines()
        if line.startswith("https://")
    }
    assert links == {address}
    assert client.get(address).status_code == 200
