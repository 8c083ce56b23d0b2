"""An operator with a browser, who finds dead letters and decides."""

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from events import clock, reading, transaction
from events.tables import Delivery
from tests.web.browser.conftest import Site
from tests.web.browser.test_order import place

pytestmark = pytest.mark.browser


def _make_retries_due() -> None:
    """Make every retry due now."""
    with transaction() as session:
        for row in session.scalars(select(Delivery).where(Delivery.state == "retrying")):
            row.due_at = clock.now()


def _dead() -> bool:
    with reading() as session:
        return session.scalars(select(Delivery).where(Delivery.state == "dead")).first() is not None


def test_an_operator_finds_a_dead_letter_reads_its_attempts_and_replays_its_group(
    site: Site, ops_tab: Page
):
    place(ops_tab, card="tok_broken")
    with site.services():
        while not _dead():  # ends with the test's own time limit
            _make_retries_due()
            ops_tab.wait_for_timeout(100)
    ops_tab.goto("/ops")
    ops_tab.get_by_role("link", name="Dead letters 1").first.click()
    expect(ops_tab.get_by_role("link", name="Dead letters 1").first).to_have_attribute(
        "aria-current", "page"
    )
    expect(ops_tab.get_by_role("heading", name="1 dead letter holds up 1 order")).to_be_visible()
    ops_tab.locator("#letters tbody a").first.click()
    ops_tab.get_by_text("traceback").first.click()
    expect(ops_tab.get_by_text("Traceback (most recent call last)").first).to_be_visible()
    ops_tab.go_back(wait_until="commit")
    ops_tab.get_by_label("Select GatewayError").check()
    expect(ops_tab.get_by_role("button", name="Replay selected (1)")).to_be_visible()
    ops_tab.locator("#reason").fill("the bank is awake")
    ops_tab.get_by_role("button", name="Replay selected (1)").click()

    expect(ops_tab.get_by_text("Replaying 1 delivery.")).to_be_visible()
    expect(ops_tab.get_by_role("heading", name="0 of 1 handled, 0 died again")).to_be_visible()
    ops_tab.goto("/ops/dead-letters")
    expect(ops_tab.get_by_role("heading", name="No decision needed")).to_be_visible()
    ops_tab.goto("/ops")
    expect(ops_tab.get_by_text("the bank is awake")).to_be_visible()


@pytest.mark.slow
def test_an_operator_takes_a_group_and_downloads_its_report(site: Site, ops_tab: Page):
    place(ops_tab, card="tok_broken")
    with site.services():
        while not _dead():
            _make_retries_due()
            ops_tab.wait_for_timeout(100)
    ops_tab.goto("/ops/dead-letters")
    ops_tab.get_by_text("Triage…").click()
    ops_tab.get_by_label("State").select_option("on hold")
    ops_tab.get_by_label("Owner").fill("ines")
    ops_tab.locator("#triage-1").fill("she asks the bank")
    ops_tab.get_by_role("button", name="Save").click()
    expect(ops_tab.get_by_text("The triage is changed.")).to_be_visible()
    expect(ops_tab.get_by_role("cell", name="on hold ines")).to_be_visible()
    with ops_tab.expect_download() as report:
        ops_tab.get_by_role("link", name="Report for a ticket").click()
    assert report.value.path().read_text().startswith("# `GatewayError` in `payment.charge_order`")


@pytest.mark.slow
def test_enter_in_the_reason_is_for_the_selected_groups_only(site: Site, ops_tab: Page):
    place(ops_tab, card="tok_broken")
    with site.services():
        while not _dead():
            _make_retries_due()
            ops_tab.wait_for_timeout(100)
    ops_tab.goto("/ops/dead-letters")
    ops_tab.locator("#reason").fill("because")
    ops_tab.locator("#reason").press("Enter")
    expect(ops_tab.get_by_text("select the groups to replay or discard").first).to_be_visible()

    ops_tab.goto("/ops/dead-letters")
    expect(ops_tab.get_by_role("heading", name="1 dead letter holds up 1 order")).to_be_visible()
    ops_tab.get_by_label("Select GatewayError").check()
    ops_tab.locator("#reason").fill("because")
    ops_tab.locator("#reason").press("Enter")
    expect(ops_tab.get_by_text("Replaying 1 delivery.")).to_be_visible()


def test_an_operator_pauses_a_subscription_and_resumes_it(site: Site, ops_tab: Page):
    with site.services():
        ops_tab.goto("/ops/queues")
        ops_tab.locator("#queue-payment").get_by_text("2 subscriptions").click()
        row = ops_tab.locator("[id='subscription-payment.charge_order']")
        row.get_by_text("Pause…").click()
        row.get_by_label("Reason").fill("bank holiday")
        row.get_by_role("button", name="Pause").click()
        expect(ops_tab.get_by_text("payment.charge_order is paused.")).to_be_visible()
        row.get_by_text("Resume…").click()
        row.get_by_label("Reason").fill("over")
        row.get_by_role("button", name="Resume").click()
        expect(ops_tab.get_by_text("payment.charge_order is resumed.")).to_be_visible()


@pytest.mark.slow
def test_an_operator_reads_the_mails_of_an_order(site: Site, ops_tab: Page):
    with site.services():
        place(ops_tab)
        expect(ops_tab.locator("#live")).to_have_attribute("data-final", "yes")
    ops_tab.goto("/ops/mails")

    expect(
        ops_tab.get_by_text("Your order ORD-1001 is on its way", exact=False).first
    ).to_be_visible()
    expect(ops_tab.get_by_role("article")).to_have_count(3)
