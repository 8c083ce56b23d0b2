"""Debian's Chromium for the tests of a file.

Playwright's loop runs as long as the fixture lives, and a process has room for one loop.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.servers import missing

TIMEOUT = 60_000  # milliseconds; a machine that runs all tests at once is slow
CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    if not CHROMIUM.exists():
        missing("chromium (Debian's package)")
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=QUIET,
            # Customers have this cache. With it, go_back() sees no load event.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()
