"""The browser, for tests of the whole system."""

from tests.web.browser.conftest import chromium

__all__ = ["chromium"]
