"""Every page at two widths in two themes: accessible, one design, and nothing beyond the screen."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import DEFAULT_OPTIONS, Axe
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from events import reading, transaction
from events.admin import dead_letters, invalid_messages, replays, subscriptions
from events.replays.steps import CANARY
from tests.living import living
from tests.web.browser.conftest import Site
from tests.web.pages import place_order, running_services
from tests.web.payloads import OPS_AUTH

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDTHS = (1280, 400)
MAX_HEIGHT = {1280: 2000, 400: 3200}  # of the page of queues, with six queues out of service
# The rules of axe that depend on colours. A theme changes nothing else.
COLOURS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
OPS_PAGES = (
    *("/ops", "/ops/orders", "/ops/orders?state=stuck", "/ops/dead-letters", "/ops/queues"),
    *("/ops/events", "/ops/products", "/ops/products/new", "/ops/products/MUG-BLUE/change"),
    *(
        "/ops/catalog",
        "/ops/mails",
        "/ops/schedules",
        "/ops/breakers",
        "/ops/alerts?preview=yes",
        "/ops/replays",
        "/ops/replays/1",
        "/ops/nothing",
    ),
)
# The header cells without a text, and the order numbers that are not on one line.
EMPTY_HEADERS = "[...document.querySelectorAll('th')].filter((th) => !th.textContent.trim()).length"
WRAPPED = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const wrapped = [];
  while (walker.nextNode()) {
    for (const match of walker.currentNode.data.matchAll(/ORD-\\d+/g)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, match.index);
      range.setEnd(walker.currentNode, match.index + match[0].length);
      const lines = new Set([...range.getClientRects()].map((each) => Math.round(each.top)));
      if (lines.size > 1) wrapped.push(match[0]);
    }
  }
  return wrapped;
}"""


@pytest.fixture
def pages(app: Flask, site: Site) -> Iterator[list[str]]:
    """The pages of a shop with orders in every state, and of the customers of three of them."""
    client = app.test_client()
    with running_services() as bus:
        shipped = place_order(client, name="Nora Feld")
        cancelled = place_order(client, payment_token="tok_declined")
        broken = [place_order(client, payment_token="tok_broken") for _ in range(3)]
        for _ in range(12):
            bus.advance(600)
        with transaction() as session:
            replays.start(session, who="ada", why="mended", pace=CANARY, queue="payment")
        for _ in range(12):
            bus.advance(600)
        with reading() as session:
            [again, first, second] = dead_letters.listed(session, queue="payment")
        dead_letters.discard(who="ada", why="called", ids=[first.id])
        with transaction() as session:
            subscriptions.pause(session, "email.announce_shipment", who="ada", why="text")
            texts = {"error": "cut", "headers": "{}", "body": b"\xff<x>"}
            invalid_messages.keep(session, queue="payment", reason="undecodable", **texts)
    with reading() as session:
        event = dead_letters.show(session, second.id).event_id
    found = [
        *OPS_PAGES,
        *(f"/ops/events/{event}", f"/ops/tasks/{again.id}:1"),
        *(f"/ops/dead-letters/{each}" for each in (again.id, second.id, f"{second.id}/edit")),
        *(_ops(address) for address in (shipped, cancelled, broken[1])),
        *(_ops(broken[1], more) for more in ("?ask=replay", "/trace")),
        *("/", "/nothing", shipped, cancelled, broken[0], f"{broken[0]}&ask=cancel"),
    ]
    with living("relay@box", "relay"), living("payment@box", "worker", "payment"):
        yield found


def _ops(address: str, more: str = "") -> str:
    """Return the operators' page of the order of a customer's page."""
    return f"/ops{address.partition('?')[0]}{more}"


@pytest.fixture
def tabs(chromium: Browser, site: Site) -> Iterator[dict[bool, Page]]:
    """A tab of a customer and one of an operator, whose width and theme the tests change."""
    user, _, password = OPS_AUTH.partition(":")
    login = {"username": user, "password": password}
    opened = {
        is_ops: chromium.new_context(
            base_url=site.url, http_credentials=login if is_ops else None, reduced_motion="reduce"
        ).new_page()
        for is_ops in (False, True)
    }
    yield opened
    for tab in opened.values():
        tab.context.close()


def test_every_page_is_accessible_and_keeps_to_the_design(pages: list[str], tabs: dict[bool, Page]):
    faults = [
        f"{path} {fault}"
        for path in pages
        for fault in _faults(tabs[path.startswith("/ops")], path)
    ]

    assert faults == []


def _faults(tab: Page, path: str) -> Iterator[str]:
    tab.goto(path)
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        for fault in _faults_here(tab):
            yield f"at {width}: {fault}"
        if path == "/ops/queues" and (
            tab.evaluate("document.documentElement.scrollHeight") > MAX_HEIGHT[width]
        ):
            yield f"at {width}: the page of queues is too high"


def _faults_here(tab: Page) -> Iterator[str]:
    tab.emulate_media(color_scheme="dark")
    for violation in _violations(tab, COLOURS):
        yield f"in dark: {violation}"
    tab.emulate_media(color_scheme="light")
    yield from _violations(tab, DEFAULT_OPTIONS)
    root = "document.documentElement"
    if (beyond := tab.evaluate(f"{root}.scrollWidth - {root}.clientWidth")) > 0:
        yield f"{beyond} px beyond the screen"
    if empty := tab.evaluate(EMPTY_HEADERS):
        yield f"{empty} empty table headers"
    if wrapped := tab.evaluate(WRAPPED):
        yield f"order numbers on two lines: {wrapped}"
    if (height := tab.evaluate("document.querySelector('.top').offsetHeight")) > 64:
        yield f"the navigation is {height} px high"
    if len(title := tab.locator("h1").inner_text()) > 90:
        yield f"the headline is {len(title)} characters long: {title}"


def _violations(tab: Page, options: dict[str, Any]) -> Iterator[str]:
    for violation in Axe().run(tab, options=options).response["violations"]:
        nodes = [node["html"][:200] for node in violation["nodes"][:2]]
        yield f"{violation['id']}: {violation['help']}: {nodes}"


def test_the_page_of_a_dry_run_is_accessible_too(pages: list[str], tabs: dict[bool, Page]):
    letter = next(path for path in pages if path.startswith("/ops/dead-letters/"))
    tabs[True].goto(letter)
    tabs[True].get_by_role("button", name="Dry run").click()
    expect(tabs[True].get_by_role("heading", name="It would be handled now")).to_be_visible()
    for width in WIDTHS:
        tabs[True].set_viewport_size({"width": width, "height": 900})
        assert list(_faults_here(tabs[True])) == []


def test_cancelling_comes_before_the_story_and_a_typed_reason_outlives_the_refresh(
    app: Flask, site: Site, plain_tab: Page
):
    address = place_order(app.test_client())
    plain_tab.set_viewport_size({"width": 400, "height": 900})
    plain_tab.goto(address)
    cancel = plain_tab.get_by_role("link", name="Cancel this order").bounding_box()
    story = plain_tab.locator(".story").bounding_box()
    assert cancel
    assert story
    assert cancel["y"] < story["y"]
    assert cancel["y"] < 900

    plain_tab.get_by_role("link", name="Cancel this order").click()
    plain_tab.get_by_label("Reason for cancelling").fill("I changed my mind")
    plain_tab.wait_for_timeout(6000)  # one second more than the refresh of the page without a form
    expect(plain_tab.get_by_label("Reason for cancelling")).to_have_value("I changed my mind")
    plain_tab.get_by_role("button", name="Cancel the order").click()
    expect(plain_tab.get_by_text("Cancelled: I changed my mind").first).to_be_visible()


def _wait_for_keys(tab: Page) -> None:
    expect(tab.locator(".keys")).to_be_visible()  # the module shows it when it listens


def test_an_operator_works_by_keyboard(pages: list[str], ops_tab: Page):
    ops_tab.goto("/ops")
    _wait_for_keys(ops_tab)
    ops_tab.keyboard.press("?")
    expect(ops_tab.get_by_role("dialog")).to_be_visible()
    ops_tab.keyboard.press("Escape")
    expect(ops_tab.locator("#keys")).to_be_hidden()
    ops_tab.keyboard.type("gd")
    expect(ops_tab).to_have_url(re.compile("/ops/dead-letters$"))
    _wait_for_keys(ops_tab)
    ops_tab.keyboard.press("j")
    ops_tab.keyboard.press("x")
    expect(ops_tab.get_by_label("Select GatewayError")).to_be_checked()
    ops_tab.keyboard.press("r")
    expect(ops_tab.locator(".current .ask[open] input[name=reason]")).to_be_focused()
    ops_tab.keyboard.type("x jk")
    expect(ops_tab.locator(".current .ask[open] input[name=reason]")).to_have_value("x jk")
    ops_tab.keyboard.press("Enter")
    expect(ops_tab.get_by_text("Replaying 2 deliveries.")).to_be_visible()
    _wait_for_keys(ops_tab)
    ops_tab.keyboard.press("/")
    ops_tab.keyboard.type("ORD-1001")
    ops_tab.keyboard.press("Enter")
    expect(ops_tab.get_by_role("heading", name="ORD-1001")).to_be_visible()
    ops_tab.locator("#trace").click()
    _wait_for_keys(ops_tab)
    ops_tab.keyboard.press("c")
    expect(ops_tab.get_by_text("Show everything")).to_be_visible()
    _wait_for_keys(ops_tab)
    ops_tab.keyboard.press("u")
    expect(ops_tab.locator("#trace")).to_be_visible()
