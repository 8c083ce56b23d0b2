"""A real browser, the real application, and every service in a thread."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from flask import Flask
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

import tasks.settings
from events import clock
from events.testing import Bus, ManualClock
from tests.chromium import TIMEOUT
from tests.servers import free_port
from tests.web.pages import shop_subscriptions
from tests.web.payloads import OPS_AUTH
from tidings.up.mail_sink import MailServer, MailStore


@dataclass(frozen=True)
class Site:
    """The application on a loopback port. Orders are processed inside `with site.services()`."""

    url: str

    @contextmanager
    def services(self, time: ManualClock | None = None) -> Iterator[None]:
        """Relay and workers, in a thread, by the machine's clock or by `time`.

        A retry may be due at once (full jitter): a test that watches for one stops the time.
        """
        stopping = threading.Event()
        thread = threading.Thread(target=_run_services, args=(stopping, time))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()


def _run_services(stopping: threading.Event, time: ManualClock | None) -> None:
    with Bus(subscriptions=shop_subscriptions(), fail_fast=False) as bus:
        clock.follow(time)
        while not stopping.wait(0.05):
            bus.drain()


class _Sink(Controller):
    """The mail sink of `tidings up`, in a thread."""

    def factory(self) -> MailServer:
        return MailServer(self.handler)


@pytest.fixture
def mails(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder of a mail sink."""
    folder, port = tmp_path / "mail", free_port()
    folder.mkdir()
    environment.setenv("MAIL_DIR", str(folder))
    environment.setenv("SMTP_URL", f"smtp://127.0.0.1:{port}")
    tasks.settings.settings.cache_clear()
    sink = _Sink(MailStore(folder), hostname="127.0.0.1", port=port)
    sink.start()
    yield folder
    sink.stop()


@pytest.fixture
def site(mails: Path, app: Flask) -> Iterator[Site]:
    """The application, served."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def _tab(
    chromium: Browser, site: Site, *, javascript: bool = True, width: int = 1300, login: str = ""
) -> Iterator[Page]:
    user, _, password = login.partition(":")
    context = chromium.new_context(
        base_url=site.url,
        java_script_enabled=javascript,
        viewport={"width": width, "height": 900},
        http_credentials={"username": user, "password": password} if login else None,
    )
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    foreign_requests: list[str] = []
    script_errors: list[str] = []
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(site.url) else foreign_requests.append(request.url)
        ),
    )
    page.on("pageerror", lambda error: script_errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            script_errors.append(message.text)
            if "Content Security Policy" in message.text
            else None
        ),
    )
    yield page
    context.close()
    assert foreign_requests == [], "a page sent a request to another host"
    assert script_errors == [], "a page had an error"


@pytest.fixture
def tab(chromium: Browser, site: Site) -> Iterator[Page]:
    """A tab. Fails if a page uses another host, has a script error or breaks the policy."""
    with _tab(chromium, site) as page:
        yield page


@pytest.fixture
def plain_tab(chromium: Browser, site: Site) -> Iterator[Page]:
    """A tab without JavaScript."""
    with _tab(chromium, site, javascript=False) as page:
        yield page


@pytest.fixture
def narrow_tab(chromium: Browser, site: Site) -> Iterator[Page]:
    """A tab 400 pixels wide, of an operator."""
    with _tab(chromium, site, width=400, login=OPS_AUTH) as page:
        yield page


@pytest.fixture
def ops_tab(chromium: Browser, site: Site) -> Iterator[Page]:
    """A tab of an operator."""
    with _tab(chromium, site, login=OPS_AUTH) as page:
        yield page
