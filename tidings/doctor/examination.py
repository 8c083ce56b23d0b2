"""The whole examination, part by part; what depends on a broken part is left out."""

import os
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from events.database import database, reading
from events.settings import settings
from events.subscriptions import registered
from events.tables import SubscriptionRow
from events.transport import CeleryTransport
from tasks.gateways import pretended
from tasks.settings import settings as shop_settings
from tidings.doctor import (
    alerts,
    audit,
    broker,
    clocks,
    dead_letters,
    deliveries,
    flower,
    gateways,
    links,
    metrics,
    orders,
    processes,
    restores,
    secrets,
    subscriptions,
)
from tidings.doctor import database as database_part
from tidings.doctor.findings import Finding, guarded, unknown
from tidings.owner_settings import settings as migration_settings
from web.settings import settings as web_settings

_OF_TABLES: tuple[Callable[[Session], Iterator[Finding]], ...] = (
    processes.check,
    subscriptions.check,
    clocks.check,
    deliveries.check,
    dead_letters.check,
    orders.check,
    restores.check,
)


def examine(transport: CeleryTransport, configuration: Any) -> Iterator[Finding]:
    """Examine everything. `transport` and `configuration` are those of the Celery app."""
    of_database = list(guarded("database", lambda: database_part.check(database())))
    yield from of_database
    usable = not any(
        each.level == "problem" and each.part in ("database", "migrations") for each in of_database
    )
    if usable:
        yield from guarded("tables", _check_tables)
        yield from guarded("audit", lambda: audit.check(database()))
    else:
        yield unknown(
            "tables",
            "not examined, because of the problem with the database above",
            "fix that problem, then run `tidings doctor` again",
        )
    yield from guarded(
        "broker", lambda: broker.check(transport, configuration, settings(), _queues(usable=usable))
    )
    yield from guarded("secrets", _check_secrets)
    yield from guarded("links", _check_links)
    yield from guarded("gateways", _check_gateways)
    yield from guarded("alerts", _check_alerts)
    yield from guarded("metrics", lambda: metrics.check(web_settings().metrics_access))
    yield from guarded("flower", lambda: flower.check(os.environ, shop_settings().flower_link))


def _check_tables() -> Iterator[Finding]:
    with reading() as session:
        for check in _OF_TABLES:
            yield from check(session)


def _queues(*, usable: bool) -> set[str]:
    if not usable:
        return {each.queue for each in registered().values()}
    with reading() as session:
        return set(session.scalars(select(SubscriptionRow.queue)))


def _check_links() -> Iterator[Finding]:
    shop = shop_settings()
    yield from links.check(shop.public_url, shop.smtp_url)


def _check_gateways() -> Iterator[Finding]:
    yield from gateways.check(pretended(), shop_settings().smtp_url)


def _check_alerts() -> Iterator[Finding]:
    shop = shop_settings()
    yield from alerts.check(
        shop.operator_email, shop.alert_webhook_url, shop.alert_webhook_networks, shop.smtp_url
    )


def _check_secrets() -> Iterator[Finding]:
    shop, bus = shop_settings(), settings()
    urls = {
        "BROKER_URL": bus.broker_url,
        "DATABASE_URL": bus.database_url,
        "DATABASE_DIRECT_URL": bus.database_direct_url,
        "DATABASE_OWNER_URL": migration_settings().database_owner_url,
        "SMTP_URL": shop.smtp_url,
    }
    yield from secrets.check(secret_key=shop.secret_key, ops_auth=shop.ops_auth, urls=urls)
