"""A customer with a browser, from placing an order to its final state."""

import re
import time

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import func, select

from events import reading, transaction
from events.testing import ManualClock
from tasks.gateways.ports import RETRY_POLICY
from tasks.orders import Order, cancel
from tests.web.browser.conftest import Site

pytestmark = pytest.mark.browser
LIVE = re.compile("/live")


def fill_in(tab: Page, *, card: str = "tok_ok", name: str = "Ada Example", to: str = "/") -> None:
    tab.goto(to)
    tab.get_by_label("Blue mug").fill("2")
    tab.get_by_label("T-shirt M").fill("1")
    tab.get_by_label("Name").fill(name)
    tab.get_by_label("E-mail").fill("ada@example.org")
    tab.get_by_label("Street and number").fill("1 Test Street")
    tab.get_by_label("City").fill("Berlin")
    tab.get_by_label("Postcode").fill("10115")
    tab.get_by_label("Country").select_option("DE")
    tab.get_by_label("Method").select_option(card)


def place(tab: Page, *, card: str = "tok_ok", name: str = "Ada Example") -> None:
    fill_in(tab, card=card, name=name)
    tab.get_by_role("button", name="Place order").click()
    expect(tab.locator("#live")).to_be_visible()


def number_of_orders() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(Order)) or 0


def wait_until_final(tab: Page) -> None:
    expect(tab.locator("#live")).to_have_attribute("data-final", "yes")


def test_a_customer_places_an_order_and_watches_it_being_shipped(site: Site, tab: Page):
    place(tab)
    expect(tab.get_by_role("heading", name="We are processing it")).to_be_visible()
    expect(tab.locator(".live")).to_have_text("live")

    with site.services():
        wait_until_final(tab)

    expect(tab.locator(".steps > .done")).to_have_count(5)
    expect(tab.get_by_text("Shipped with", exact=False)).to_be_visible()
    expect(tab.locator(".live")).to_have_text("complete")
    expect(tab.get_by_role("status").first).to_contain_text("Shipped. It is on its way to you.")
    expect(tab.get_by_role("link", name="Cancel")).to_be_hidden()


def test_without_javascript_the_page_keeps_itself_fresh_until_the_order_is_shipped(
    site: Site, plain_tab: Page
):
    place(plain_tab)
    expect(plain_tab.get_by_role("heading", name="We are processing it")).to_be_visible()

    with site.services():
        wait_until_final(plain_tab)

    expect(plain_tab.locator(".steps > .done")).to_have_count(5)
    expect(plain_tab.locator("meta[http-equiv=refresh]")).to_have_count(0)


def test_without_javascript_a_mistake_is_reported_beside_its_field(plain_tab: Page):
    fill_in(plain_tab, name="   ")
    plain_tab.get_by_label("E-mail").fill("ada@example.org, eve@example.org")
    plain_tab.get_by_role("button", name="Place order").click()

    email = plain_tab.get_by_label("E-mail")
    expect(email).to_have_attribute("aria-invalid", "true")
    expect(email).to_have_accessible_description(re.compile("Please give one e-mail address"))
    expect(email).to_have_value("ada@example.org, eve@example.org")
    expect(plain_tab.get_by_label("Blue mug")).to_have_value("2")
    assert number_of_orders() == 0


def test_failed_attempts_are_shown_until_one_succeeds(site: Site, tab: Page):
    place(tab, card="tok_flaky")
    stopped = ManualClock()

    with site.services(stopped):
        expect(tab.get_by_text("The payment takes longer than usual").first).to_be_visible()
        expect(tab.locator("[data-until]").first).to_have_text(re.compile(r"\((in \d+ sec|now)\)"))
        stopped.advance(RETRY_POLICY.cap)
        expect(tab.get_by_text("The bank did not answer")).to_have_count(2)
        stopped.advance(RETRY_POLICY.cap)
        wait_until_final(tab)

    expect(tab.get_by_text("The bank did not answer. We tried again.")).to_have_count(2)


def test_a_double_click_is_one_order(site: Site, tab: Page):
    fill_in(tab)
    tab.get_by_role("button", name="Place order").dblclick()
    expect(tab.get_by_text("ORD-1001", exact=True)).to_be_visible()

    assert number_of_orders() == 1


def test_a_double_click_without_javascript_is_one_order(site: Site, plain_tab: Page):
    fill_in(plain_tab)
    plain_tab.get_by_role("button", name="Place order").dblclick()
    expect(plain_tab.get_by_text("ORD-1001", exact=True)).to_be_visible()

    assert number_of_orders() == 1


def test_going_back_and_sending_the_form_again_leads_to_the_same_order(tab: Page):
    place(tab)
    first = tab.url
    tab.go_back(wait_until="commit")
    tab.get_by_role("button", name="Place order").click()
    expect(tab.get_by_text("ORD-1001", exact=True)).to_be_visible()

    assert tab.url == first
    assert number_of_orders() == 1


def test_the_form_shows_the_total(tab: Page):
    fill_in(tab)

    expect(tab.locator("#total")).to_have_text("€42.50")


def test_a_half_typed_reason_survives_what_happens_meanwhile(site: Site, tab: Page):
    place(tab, card="tok_broken")
    tab.get_by_role("link", name="Cancel this order").click()
    reason = tab.get_by_label("Reason for cancelling")
    reason.press_sequentially("I changed my m")

    with site.services():
        expect(tab.get_by_text("The bank did not answer").first).to_be_visible()

    expect(reason).to_have_value("I changed my m")
    expect(reason).to_be_focused()
    reason.press_sequentially("ind")
    tab.get_by_role("button", name="Cancel the order").click()
    expect(tab.get_by_text("Cancelled: I changed my mind")).to_be_visible()


def test_what_a_customer_types_is_never_markup(site: Site, tab: Page):
    place(tab, name="<img src=x onerror=alert(1)>")

    with site.services():
        wait_until_final(tab)

    expect(tab.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    expect(tab.locator("main img")).to_have_count(0)


def test_a_hidden_page_sends_no_requests(tab: Page):
    place(tab)
    requests: list[str] = []
    with tab.expect_request(LIVE):
        pass
    _hide(tab, hidden=True)
    tab.on("request", lambda request: requests.append(request.url))
    tab.wait_for_timeout(2500)  # three times the interval between two requests
    assert requests == []

    with tab.expect_request(LIVE):
        _hide(tab, hidden=False)


def _hide(tab: Page, *, hidden: bool) -> None:
    tab.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


@pytest.mark.slow
def test_the_page_of_a_final_order_sends_no_requests(site: Site, tab: Page):
    place(tab)
    with site.services():
        wait_until_final(tab)
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.wait_for_timeout(2000)

    assert requests == []


@pytest.mark.slow
def test_a_lost_connection_is_reported_and_retried_with_growing_pauses(tab: Page):
    place(tab)
    requests: list[float] = []

    def lose(route: Route) -> None:
        requests.append(time.monotonic())
        route.abort()

    tab.route(LIVE, lose)
    expect(tab.locator(".live")).to_have_text("connection lost, reconnecting")
    while len(requests) < 4:  # ends with the test's own time limit
        tab.wait_for_timeout(50)
    # Each pause is twice the one before it; a busy machine may lengthen any of them.
    assert requests[3] - requests[2] > 1.5 * (requests[1] - requests[0])
    tab.unroute(LIVE)
    expect(tab.locator(".live")).to_have_text("live")


def test_an_order_cancelled_elsewhere_is_seen_on_the_page(site: Site, tab: Page):
    place(tab)
    with transaction() as session:
        cancel(
            session, tab.url.split("/orders/")[1].split("?")[0], reason="by telephone", who="ada"
        )

    expect(tab.get_by_text("Cancelled: by telephone", exact=True)).to_be_visible()
    with site.services():
        wait_until_final(tab)
