"""Every page on a screen 400 pixels wide, without scrolling sideways."""

import pytest
from playwright.sync_api import Page, expect

from events import heartbeat, transaction
from events.admin import invalid_messages
from tests.web.browser.conftest import Site
from tests.web.browser.test_order import fill_in, place, wait_until_final

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGES = [
    "/",
    "/ops",
    "/ops/orders",
    "/ops/products",
    "/ops/products/new",
    "/ops/products/MUG-BLUE/change",
    "/ops/events",
    "/ops/dead-letters",
    "/ops/queues",
    "/ops/catalog",
    "/ops/schedules",
    "/ops/breakers",
    "/ops/alerts?preview=yes",
    "/ops/mails",
    "/nothing",
]
LONG = "W" * 100


def overflow(tab: Page) -> int:
    """Return the pixels by which the page is wider than the screen, once it has its styles."""
    tab.wait_for_load_state()
    return int(
        tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )


def test_no_page_scrolls_sideways(site: Site, narrow_tab: Page):
    fill_in(narrow_tab, name="  ")
    narrow_tab.get_by_role("button", name="Place order").click()
    expect(narrow_tab.get_by_text("Please fill this in.")).to_be_visible()
    assert overflow(narrow_tab) <= 0
    place(narrow_tab, name=LONG, card="tok_broken")
    stuck = narrow_tab.url
    with site.services():
        expect(narrow_tab.get_by_text("The bank did not answer").first).to_be_visible()
        assert overflow(narrow_tab) <= 0
        place(narrow_tab, name=LONG)
        wait_until_final(narrow_tab)
    assert overflow(narrow_tab) <= 0
    heartbeat.beat("relay@" + LONG, "relay", trouble=LONG * 2)
    with transaction() as session:
        texts = {"error": LONG, "headers": LONG, "body": LONG.encode()}
        invalid_messages.keep(session, queue="payment", reason="undecodable", **texts)

    order = stuck.replace("/orders/", "/ops/orders/").partition("?")[0]
    for path in [*PAGES, order, f"{order}/trace"]:
        narrow_tab.goto(path)
        assert overflow(narrow_tab) <= 0, path
    for link in ("/ops/events", "/ops/orders"):
        narrow_tab.goto(link)
        with narrow_tab.expect_navigation():
            narrow_tab.locator("tbody a").first.click()
        assert overflow(narrow_tab) <= 0, link
