"""Takes the pictures of the operators' desk, with a cause of twelve dead letters in the shop."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page

from tidings.cli.shop import Shop

CARDS = 12  # orders with a card that fails for ever
SIZE = (1280, 900)
TIMEOUT = 240.0  # seconds until a delivery has used up its attempts
CHARGE = "payment.charge_order"
ORDER = {
    "customer": {"name": "Ada Example", "email": "ada@example.com"},
    "items": [{"sku": "MUG-BLUE", "quantity": 1}],
    "shipping_address": {
        "line1": "1 Test Street",
        "city": "Berlin",
        "postcode": "10115",
        "country": "DE",
    },
    "payment_token": "tok_broken",
}


class Desk:
    """The desk of one operator: its pages in a browser, and its API."""

    def __init__(self, browser: Browser, url: str, login: tuple[str, str], folder: Path) -> None:
        user, password = login
        self.url, self.folder = url, folder
        self.api = httpx.Client(base_url=f"{url}/api/v1", auth=login, timeout=30)
        width, height = SIZE
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": height},
            http_credentials={"username": user, "password": password},
        )

    def shows(self, path: str) -> None:
        """Open a page."""
        self.page.goto(f"{self.url}/ops{path}")

    def take(self, name: str) -> None:
        """Save the picture of what is on the screen."""
        self.page.wait_for_timeout(500)  # until the page says if it is live
        self.page.screenshot(path=self.folder / f"desk-{name}.png")

    def posts(self, path: str, **body: Any) -> Any:
        """Change something over the API, and return the answer."""
        answer = self.api.post(path, json=body | {"why": "the bank has a new certificate"})
        return answer.raise_for_status().json()

    def waits(self, path: str, is_there: Callable[[Any], bool]) -> None:
        """Wait until the API's answer is as it should be."""
        deadline = time.monotonic() + TIMEOUT
        while not is_there(self.api.get(path).raise_for_status().json()):
            if time.monotonic() > deadline:
                sys.exit(f"{path} is not as it should be after {TIMEOUT:g} s")
            time.sleep(0.5)


def take_desk(
    browser: Browser, url: str, login: tuple[str, str], shipped: dict[str, Any], folder: Path
) -> None:
    """Save a picture of each page that the description of the desk shows."""
    shop, desk = Shop(url), Desk(browser, url, login, folder)
    for number in range(CARDS):
        shop.place(ORDER, key=f"screenshot-broken-{number}")
    desk.shows(f"/orders/{shipped['id']}/trace")
    desk.take("trace")
    desk.waits("/dead-letters", lambda found: len(found["dead_letters"]) == CARDS)
    desk.shows("/dead-letters")
    desk.take("dead-letters")
    desk.page.get_by_role("button", name="Dry run").first.click()
    desk.page.get_by_role("heading", name="of the sample").wait_for()
    desk.take("dry-run")
    _take_replays(desk)
    desk.posts("/breakers/carrier/hold")
    desk.shows("/breakers")
    desk.take("breakers")
    desk.posts("/subscriptions/email.announce_shipment/pause")
    desk.shows("/queues")
    desk.take("queues")


def _take_replays(desk: Desk) -> None:
    """Start a canary that stops itself, then a slow replay, which is running."""
    stopped = desk.posts("/replays", subscription=CHARGE, canary=True)["id"]
    desk.waits(f"/replays/{stopped}", lambda job: job["state"] == "stopped")
    desk.shows(f"/replays/{stopped}")
    desk.take("replay-stopped")
    running = desk.posts("/replays", subscription=CHARGE, rate=0.1, stop_above=1)["id"]
    desk.shows(f"/replays/{running}")
    desk.take("replay-running")
    desk.posts(f"/replays/{running}/stop")
