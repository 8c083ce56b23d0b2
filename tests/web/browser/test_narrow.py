"""Every page on a screen 400 pixels wide: nothing is cut off, nothing scrolls sideways."""

import pytest
from playwright.sync_api import Page, expect

from events import heartbeat, transaction
from events.admin import invalid_messages
from tests.web.browser.conftest import Site
from tests.web.browser.test_order import ended, fill_in, place

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGES = [
    "/",
    "/ops",
    "/ops/orders",
    "/ops/products",
    "/ops/events",
    "/ops/dead-letters",
    "/ops/queues",
    "/ops/catalog",
    "/ops/mails",
    "/nothing",
]
LONG = "W" * 100


def sideways(tab: Page) -> int:
    """How many pixels the page is wider than the screen."""
    return int(
        tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )


def test_no_page_scrolls_sideways(site: Site, narrow_tab: Page):
    fill_in(narrow_tab, name="  ")
    narrow_tab.get_by_role("button", name="Place order").click()
    expect(narrow_tab.get_by_text("Please fill this in.")).to_be_visible()
    assert sideways(narrow_tab) <= 0
    place(narrow_tab, name=LONG, card="tok_broken")
    stuck = narrow_tab.url
    with site.services():
        expect(narrow_tab.get_by_text("payment could not charge order").first).to_be_visible()
        assert sideways(narrow_tab) <= 0
        place(narrow_tab, name=LONG)
        ended(narrow_tab)
    assert sideways(narrow_tab) <= 0
    heartbeat.beat("relay@" + LONG, "relay", trouble=LONG * 2)
    with transaction() as session:
        invalid_messages.keep(
            session,
            queue="payment",
            reason="undecodable",
            error=LONG,
            headers=LONG,
            body=LONG.encode(),
        )

    for path in [*PAGES, stuck.replace("/orders/", "/ops/orders/").partition("?")[0]]:
        narrow_tab.goto(path)
        assert sideways(narrow_tab) <= 0, path
    for link in ("/ops/events", "/ops/orders"):
        narrow_tab.goto(link)
        narrow_tab.locator("tbody a").first.click()
        expect(narrow_tab.locator("h1")).to_be_visible()
        assert sideways(narrow_tab) <= 0, link
