"""An operator with a browser, who uses each form of the desk once, in one shop."""

import re

import pytest
from playwright.sync_api import Locator, Page, Response, expect

from events import transaction
from events.admin import subscriptions
from events.testing import Bus
from tests.web.browser.conftest import Site
from tests.web.pages import shop_subscriptions

pytestmark = [pytest.mark.browser, pytest.mark.slow]  # test_ops.py is a quicker one
PATCH = '[{"op": "replace", "path": "/payment_token", "value": "tok_ok"}]'


def ask(within: Page | Locator, button: str, reason: str, send: str = "") -> None:
    """Open the form behind a button, give the reason and send it."""
    within.get_by_text(f"{button}…").first.click()
    form = within.locator("details[open].ask > form")
    form.get_by_label("Reason").fill(reason)
    form.get_by_role("button", name=send or button).click()


def test_breakers_are_held_closed_and_their_automatic_replay_switched(
    site: Site, ops_tab: Page, dead_charges: Bus
):
    with transaction() as session:
        subscriptions.register(session, shop_subscriptions())
    ops_tab.goto("/ops/breakers")
    row = ops_tab.locator("#breaker-smtp")
    ask(row, "Hold", "the mail server moves")
    expect(ops_tab.get_by_text("The breaker of smtp is on hold.")).to_be_visible()
    expect(row.get_by_text(re.compile("by ada: the mail server moves"))).to_be_visible()
    ask(row, "Close", "it has moved")
    expect(ops_tab.get_by_text("The breaker of smtp is closed.")).to_be_visible()
    ask(row, "Switch automatic replay off", "by hand", "Switch off")
    expect(ops_tab.get_by_text("The automatic replay of smtp is switched off.")).to_be_visible()
    row.get_by_text("Hold…").click()
    row.get_by_text("Command and API call").first.click()
    command = row.locator("details[open].runbook code").first
    expect(command).to_have_text("tidings breakers hold smtp --why REASON")

    ops_tab.goto("/ops/dead-letters")
    ask(ops_tab, "Replay", "the card works", "Replay 3")
    expect(ops_tab.get_by_role("heading", name="Running: 0 of 3 handled")).to_be_visible()
    for button, state in (("Pause", "Paused"), ("Resume", "Running"), ("Stop", "Stopped")):
        ops_tab.get_by_label("Reason").first.fill("to look at it")
        ops_tab.get_by_role("button", name=button, exact=True).click()
        expect(ops_tab.get_by_role("heading", name=re.compile(f"^{state}"))).to_be_visible()

    ops_tab.goto("/ops/replays")
    ops_tab.get_by_label("Subscription").select_option("timeline.tell")
    ops_tab.get_by_label("Reason").fill("it is new")
    ops_tab.get_by_role("button", name="Backfill").click()
    expect(ops_tab.get_by_text(re.compile("^ *Backfilling [0-9]+ deliver"))).to_be_visible()


def test_a_group_is_run_dry_and_its_payloads_are_corrected(
    site: Site, ops_tab: Page, dead_charges: Bus
):
    ops_tab.goto("/ops/dead-letters")
    ops_tab.get_by_role("button", name="Dry run").click()
    expect(ops_tab.get_by_role("heading", name="All 3 of the sample")).to_be_visible()
    expect(ops_tab.get_by_text("payments.charge").first).to_be_visible()

    ops_tab.locator("tbody a").first.click()
    ops_tab.get_by_role("link", name="Edit…").click()
    payload = ops_tab.get_by_label("Payload")
    payload.fill(payload.input_value().replace("tok_broken", "tok_ok"))
    ops_tab.get_by_role("button", name="Show the difference").click()
    expect(ops_tab.get_by_role("heading", name="1 value would be corrected")).to_be_visible()
    ops_tab.get_by_label("Reason").fill("wrong token")
    ops_tab.get_by_role("button", name="Replay corrected").click()
    expect(ops_tab.get_by_text("to this subscription alone")).to_be_visible()

    ops_tab.goto("/ops/dead-letters")
    ops_tab.get_by_role("link", name="Edit…").click()
    ops_tab.get_by_label("JSON Patch").fill("[{}]")
    ops_tab.get_by_role("button", name="Show the differences").click()
    expect(ops_tab.get_by_role("heading", name="The patch does not fit")).to_be_visible()
    ops_tab.get_by_label("JSON Patch").fill(PATCH)
    ops_tab.get_by_role("button", name="Show the differences").click()
    expect(ops_tab.get_by_role("heading", name="2 payloads would be corrected")).to_be_visible()
    ops_tab.get_by_label("Reason").fill("wrong tokens")
    ops_tab.get_by_role("button", name="Replay 2 corrected").click()
    expect(ops_tab.get_by_text("2 corrected events are published")).to_be_visible()
    expect(ops_tab.get_by_role("heading", name="No decision needed")).to_be_visible()


def test_a_list_shows_what_happens_and_disturbs_nobody(site: Site, ops_tab: Page):
    with site.services():
        ops_tab.goto("/ops/queues")
        expect(ops_tab.locator(".kicker .live")).to_have_text("live")
        ops_tab.locator("#queue-payment").get_by_text("2 subscriptions").click()
        with transaction() as session:
            subscriptions.pause(session, "payment.charge_order", who="bob", why="the bank")
        row = ops_tab.locator("[id='subscription-payment.charge_order']")
        expect(row.get_by_text("by bob: the bank")).to_be_visible()

        row.get_by_text("Resume…").click()
        row.get_by_label("Reason").fill("half a reas")
        with ops_tab.expect_response(_is_poll_with_news), transaction() as session:
            subscriptions.pause(session, "email.confirm_receipt", who="bob", why="greylisted")
        expect(ops_tab.locator(".lead")).to_contain_text("0 deliveries")
        expect(row.get_by_label("Reason")).to_have_value("half a reas")
        row.get_by_label("Reason").fill("over")
        row.get_by_role("button", name="Resume").click()
        expect(ops_tab.get_by_text("payment.charge_order is resumed.")).to_be_visible()


def _is_poll_with_news(response: Response) -> bool:
    return response.request.headers.get("x-poll") == "yes" and response.status == 200
