"""Takes the picture of the README: the page of an order whose card works at the third attempt."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from tidings.cli.shop import Shop

PICTURE = Path(__file__).parent / "images" / "order.png"
SHIPPED_TIMEOUT = 90.0  # seconds
ORDER = {
    "customer": {"name": "Ada Example", "email": "ada@example.com"},
    "items": [{"sku": "MUG-BLUE", "quantity": 2}, {"sku": "TEE-M", "quantity": 1}],
    "shipping_address": {
        "line1": "1 Test Street",
        "city": "Berlin",
        "postcode": "10115",
        "country": "DE",
    },
    "payment_token": "tok_flaky",
}


@contextmanager
def running() -> Iterator[str]:
    """Run Tidings on free ports in a temporary folder and yield the shop's address."""
    with tempfile.TemporaryDirectory(prefix="tidings-") as folder:
        tidings = str(Path(sys.executable).parent / "tidings")
        command = [tidings, "up", "--port=0", "--flower-port=0", f"--data-dir={folder}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            ready = next((line for line in process.stdout if "ready: " in line), None)
            if ready is None:
                sys.exit("tidings up ended before it was ready; its output is above")
            yield ready.split("ready: ")[1].strip()
        finally:
            process.terminate()
            process.communicate()


def take(url: str) -> None:
    """Place the order, wait until it is shipped, and save a picture of its page."""
    shop = Shop(url)
    placed = shop.place(ORDER, key="screenshot")
    deadline = time.monotonic() + SHIPPED_TIMEOUT
    while shop.order(placed)["status"] != "shipped":
        if time.monotonic() > deadline:
            sys.exit(
                f"{placed['number']} was not shipped in {SHIPPED_TIMEOUT:g} s: {shop.order(placed)}"
            )
        time.sleep(0.2)
    with sync_playwright() as play:
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=as_root)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url + placed["links"]["page"])
        page.wait_for_load_state("networkidle")
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()


def main() -> None:
    """Start Tidings and take the picture."""
    if shutil.which("chromium") is None:
        sys.exit("chromium is not installed; on Debian: apt-get install chromium")
    PICTURE.parent.mkdir(exist_ok=True)
    with running() as url:
        take(url)
    print(f"saved {PICTURE}")


if __name__ == "__main__":
    main()
