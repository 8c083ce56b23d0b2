"""The shop in one process: every service on an in-process bus, with a real mail server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from events import Database, transaction
from events.subscriptions import Subscription, discover, registered
from events.testing import Bus
from tasks.gateways import smtp
from tasks.settings import settings
from tests.tasks.builders import stocked
from tests.tasks.mailserver import MailServer

# Its tests state what these do together. A service that is dropped in is not their subject.
SHOP = ("inventory", "payment", "shipping", "email", "orders", "timeline", "dead_letters")


def shop() -> list[Subscription]:
    """Return the subscriptions of the shop as it is shipped."""
    return [each for each in services() if each.queue in SHOP]


def services() -> list[Subscription]:
    """Return the subscriptions of all modules of `tasks`; tests may have registered others."""
    discover("tasks", skip={"celery"})
    return [each for each in registered().values() if each.handler.__module__.startswith("tasks.")]


def queues() -> list[str]:
    """Return the queues of all services."""
    return sorted({each.queue for each in services()})


@pytest.fixture(scope="session")
def running_mail_server() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    smtp._idle.take("")  # it ends the connections to every other address
    server.stop()


@pytest.fixture
def mail_server(
    running_mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MailServer]:
    """Empty the mail server and set `SMTP_URL` to it."""
    running_mail_server.empty()
    monkeypatch.setenv("SMTP_URL", running_mail_server.url)
    settings.cache_clear()
    yield running_mail_server
    settings.cache_clear()


@pytest.fixture
def bus_subscriptions() -> list[Subscription]:
    """Return those of the whole shop; a test of one service overrides it with its own."""
    return shop()


def _shop(subscriptions: list[Subscription]) -> Iterator[Bus]:
    with Bus(subscriptions=subscriptions) as bus:
        with transaction() as session:
            stocked(session, MUG=10, TEE=10, LAMP=1)
        yield bus


@pytest.fixture
def bus(
    database: Database, mail_server: MailServer, bus_subscriptions: list[Subscription]
) -> Iterator[Bus]:
    """Run the whole shop on SQLite, with ten mugs, ten shirts and one lamp in stock."""
    yield from _shop(bus_subscriptions)


@pytest.fixture
def any_bus(
    any_database: Database, mail_server: MailServer, bus_subscriptions: list[Subscription]
) -> Iterator[Bus]:
    """Run the whole shop on SQLite and on PostgreSQL."""
    yield from _shop(bus_subscriptions)


@pytest.fixture
def mail_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set `MAIL_DIR` to an empty folder for the local mail sink."""
    monkeypatch.setenv("MAIL_DIR", str(tmp_path / "mail"))
    settings.cache_clear()
    (tmp_path / "mail").mkdir()
    yield tmp_path / "mail"
    settings.cache_clear()
