"""The whole examination: each part, and what is left out when another part is in the way."""

import os
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from events.database import database, reading
from events.settings import settings
from events.subscriptions import registered
from events.tables import SubscriptionRow
from events.transport import CeleryTransport
from tasks import orders
from tasks.settings import settings as shop_settings
from tidings.doctor import broker, flower, ledger, logins
from tidings.doctor import database as store
from tidings.doctor.findings import Finding, carefully, one_of, problem, unknown


def examine(transport: CeleryTransport, configuration: Any) -> Iterator[Finding]:
    """Look at everything; `transport` and `configuration` are the Celery app's. A part that is down is a finding."""
    about_store = list(carefully("database", lambda: store.check(database())))
    yield from about_store
    usable = not any(
        each.level == "problem" and each.about in ("database", "migrations") for each in about_store
    )
    if usable:
        yield from carefully("ledger", _ledger)
    else:
        yield unknown(
            "ledger", "not looked at; see database and migrations above", "mend those first"
        )
    yield from carefully(
        "broker", lambda: broker.check(transport, configuration, settings(), _queues(usable=usable))
    )
    yield from carefully("secrets", _secrets)
    yield from carefully("flower", lambda: flower.check(os.environ, shop_settings().flower_url))


def _ledger() -> Iterator[Finding]:
    with reading() as session:
        yield from ledger.check(session)
        yield from one_of(
            "orders", _orders(session), "every order is at its end, under way, or at a dead letter"
        )


def _orders(session: Session) -> Iterator[Finding]:
    if left := orders.stuck(session):
        numbers = ", ".join(each.number for each in left[:5]) + (", ..." if len(left) > 5 else "")
        fix = "a delivery of theirs was discarded, so no answer will come: cancel them on /ops/orders, and what was done is undone"
        yield problem("orders", f"nothing moves {numbers} any more", fix)


def _queues(*, usable: bool) -> set[str]:
    if not usable:
        return {each.queue for each in registered().values()}
    with reading() as session:
        return set(session.scalars(select(SubscriptionRow.queue)))


def _secrets() -> Iterator[Finding]:
    shop, bus = shop_settings(), settings()
    urls = {
        "BROKER_URL": bus.broker_url,
        "DATABASE_URL": bus.database_url,
        "SMTP_URL": shop.smtp_url,
    }
    yield from logins.check(secret_key=shop.secret_key, ops_auth=shop.ops_auth, urls=urls)
