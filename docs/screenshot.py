"""Takes the pictures of the documentation, or with a folder as argument those of every page.

Those of every page are taken at 1280 and 400 pixels, light and dark.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

from docs.desk_pictures import take_desk
from tidings.cli.shop import Shop

PICTURE = Path(__file__).parent / "images" / "order.png"
TIMEOUT = 120.0  # seconds until the orders have reached their states
LOGIN = ("ops", "only-for-pictures-7319")
WIDTHS = (1280, 400)
OPS_PAGES = (
    *(
        "",
        "/orders",
        "/dead-letters",
        "/replays",
        "/queues",
        "/events",
        "/products",
        "/products/new",
    ),
    *("/products/MUG-BLUE/change", "/catalog", "/mails", "/audit", "/alerts", "/nothing"),
)
ORDER = {
    "customer": {"name": "Ada Example", "email": "ada@example.com"},
    "items": [{"sku": "MUG-BLUE", "quantity": 2}, {"sku": "TEE-M", "quantity": 1}],
    "shipping_address": {
        "line1": "1 Test Street",
        "city": "Berlin",
        "postcode": "10115",
        "country": "DE",
    },
}


@contextmanager
def running() -> Iterator[str]:
    """Run Tidings on free ports in a temporary folder and yield the shop's address."""
    with tempfile.TemporaryDirectory(prefix="tidings-") as folder:
        tidings = str(Path(sys.executable).parent / "tidings")
        command = [tidings, "up", "--port=0", "--flower-port=0", f"--data-dir={folder}"]
        environment = os.environ | {"OPS_AUTH": ":".join(LOGIN)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert process.stdout is not None
            ready = next((line for line in process.stdout if "ready: " in line), None)
            if ready is None:
                sys.exit("tidings up ended before it was ready; its output is above")
            yield ready.split("ready: ")[1].strip()
        finally:
            process.terminate()
            process.communicate()


def place(shop: Shop, token: str, status: str) -> dict[str, Any]:
    """Place an order and wait until it has this status."""
    placed = shop.place(ORDER | {"payment_token": token}, key=f"screenshot-{token}")
    deadline = time.monotonic() + TIMEOUT
    while shop.order(placed)["status"] != status:
        if time.monotonic() > deadline:
            sys.exit(f"{placed['number']} is not {status} in {TIMEOUT:g} s: {shop.order(placed)}")
        time.sleep(0.2)
    return placed


def dead_letter(url: str) -> dict[str, Any]:
    """Wait for the first dead letter."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        found = httpx.get(f"{url}/api/v1/dead-letters", auth=LOGIN).json()["dead_letters"]
        if found:
            first: dict[str, Any] = found[0]
            return first
        time.sleep(0.5)
    sys.exit(f"there is no dead letter in {TIMEOUT:g} s")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium."""
    with sync_playwright() as play:
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=as_root)
        yield browser
        browser.close()


def take(browser: Browser, address: str, picture: Path, *, width: int, dark: bool = False) -> None:
    """Save a picture of one page, as an operator sees it if it is one of theirs."""
    # Always sent, as by a browser that has logged in: an unknown address asks for no login.
    login = {"username": LOGIN[0], "password": LOGIN[1], "send": "always"}
    page = browser.new_page(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if dark else "light",
        http_credentials=login if "/ops" in address else None,  # type: ignore[arg-type]
    )
    page.goto(address)
    page.wait_for_timeout(500)  # until the page says if it is live
    page.screenshot(path=picture, full_page=True)
    page.close()


def take_all(url: str, folder: Path) -> None:
    """Save the pictures of every page."""
    shop = Shop(url)
    broken = shop.place(ORDER | {"payment_token": "tok_broken"}, key="screenshot-broken")
    shipped, cancelled = (
        place(shop, token, status)
        for token, status in (("tok_flaky", "shipped"), ("tok_declined", "cancelled"))
    )
    letter = dead_letter(url)
    pages = {f"ops{path.replace('/', '-')}": f"{url}/ops{path}" for path in OPS_PAGES}
    pages |= {
        "ops-event": f"{url}/ops/events/{letter['event_id']}",
        "ops-dead-letter": f"{url}/ops/dead-letters/{letter['id']}",
        "ops-order-dead": f"{url}/ops/orders/{broken['id']}",
        "ops-order-shipped": f"{url}/ops/orders/{shipped['id']}",
        "shop": f"{url}/",
        "nothing": f"{url}/nothing",
        "order-late": url + broken["links"]["page"],
        "order-cancel": f"{url}{broken['links']['page']}&ask=cancel",
        "order-shipped": url + shipped["links"]["page"],
        "order-cancelled": url + cancelled["links"]["page"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for width in WIDTHS:
            for theme in ("light", "dark"):
                for name, address in pages.items():
                    picture = folder / f"{name}-{width}-{theme}.png"
                    take(browser, address, picture, width=width, dark=theme == "dark")


def take_documented(url: str) -> None:
    """Save the picture of an order whose card works at the third attempt, and those of the desk."""
    placed = place(Shop(url), "tok_flaky", "shipped")
    PICTURE.parent.mkdir(exist_ok=True)
    with chromium() as browser:
        take(browser, f"{url}/ops/orders/{placed['id']}", PICTURE, width=1280)
        take_desk(browser, url, LOGIN, placed, PICTURE.parent)


def main() -> None:
    """Start Tidings and take the pictures."""
    if shutil.which("chromium") is None:
        sys.exit("chromium is not installed; on Debian: apt-get install chromium")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with running() as url:
        if folder:
            take_all(url, folder)
        else:
            take_documented(url)
    print(f"saved {folder or PICTURE.parent}")


if __name__ == "__main__":
    main()
