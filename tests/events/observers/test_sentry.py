"""Sentry gets each dead delivery and each first failure, without payload and personal data."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import sentry_sdk
from sqlalchemy import update

from events import Database, NotNow, observers, suspects, transaction
from events.observers.sentry import Sentry
from events.settings import settings
from events.tables import Delivery
from events.testing import Bus
from tests.events.observers.collector import Collector
from tests.events.sample import (
    SECRET,
    Noted,
    deliveries,
    marks,
    new_subscription,
    note,
    raising,
    send,
)


@pytest.fixture
def sentry(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sentry]:
    monkeypatch.setenv("SENTRY_DSN", collector.dsn)
    settings.cache_clear()
    sentry_sdk.get_global_scope().set_client(None)
    sentry = Sentry()
    observers.add(sentry)
    yield sentry
    observers.remove(sentry)
    collector.released.set()
    sentry_sdk.get_client().close(timeout=2)
    sentry_sdk.get_global_scope().set_client(None)
    settings.cache_clear()


def _personal() -> Exception:
    return ValueError(f"{SECRET} could not be answered")


FAILING = new_subscription(raising(_personal))


def test_the_first_failure_and_the_death_of_a_delivery_are_reported(
    any_database: Database, sentry: Sentry, collector: Collector
):
    with Bus(subscriptions=[FAILING], fail_fast=False) as bus:
        bus.publish(Noted(text=f"letter for {SECRET}"))
        bus.drain()
        bus.advance(60)
        bus.advance(60)
        [row] = [each for each in bus.deliveries() if each.subscription == FAILING.name]
    sentry.close()

    assert (row.state, row.attempts) == ("dead", 3)
    reports = collector.reports()
    assert [each["tags"] for each in reports] == [
        {
            "subscription": "notes.mark",
            "event_id": str(row.event_id),
            "attempt": attempt,
            "state": state,
        }
        for attempt, state in (("1", "retrying"), ("3", "dead"))
    ]
    assert [each["level"] for each in reports] == ["warning", "error"]
    assert {tuple(each["fingerprint"]) for each in reports} == {("notes.mark", row.fingerprint)}
    [error] = reports[0]["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", row.fingerprint)
    assert error["stacktrace"]["frames"][-1]["function"] == "handler"


def test_no_report_holds_the_payload_or_the_text_of_the_error(
    database: Database, sentry: Sentry, collector: Collector
):
    with sentry_sdk.isolation_scope() as scope:  # what the application knows of its customer
        scope.set_user({"email": SECRET})
        scope.add_breadcrumb(message=f"letter for {SECRET}")
        with Bus(subscriptions=[FAILING], fail_fast=False) as bus:
            bus.publish(Noted(text=SECRET), subject=SECRET)
            bus.drain()
    sentry.close()

    assert collector.reports()
    assert SECRET.encode() not in collector.text()


def test_a_crash_loop_is_reported(database: Database, sentry: Sentry, collector: Collector):
    subscription = new_subscription()
    note("deadly")
    send(subscription)
    with transaction() as session:
        session.execute(update(Delivery).values(unfinished_starts=settings().max_crashes))

    with transaction() as session:
        suspects.mark_lost(session, Delivery.subscription == subscription.name)
    sentry.close()

    [report] = collector.reports()
    assert report["tags"]["state"] == "dead"
    assert report["exception"]["values"][0]["type"] == "CrashLoop"


def test_a_failure_whose_record_is_rolled_back_is_not_reported(
    database: Database, sentry: Sentry, collector: Collector
):
    subscription = new_subscription()
    note("deadly")
    send(subscription)

    with suppress(ZeroDivisionError), transaction() as session:
        session.execute(update(Delivery).values(unfinished_starts=settings().max_crashes))
        suspects.mark_lost(session, Delivery.subscription == subscription.name)
        raise ZeroDivisionError
    sentry.close()

    assert collector.reports() == []


def test_not_now_is_no_failure_to_report(database: Database, sentry: Sentry, collector: Collector):
    busy = new_subscription(raising(lambda: NotNow("busy")))
    with Bus(subscriptions=[busy], fail_fast=False) as bus:
        bus.publish(Noted(text="a"))
        bus.drain()
    sentry.close()

    assert deliveries()[0].attempts == 1
    assert collector.reports() == []


@pytest.mark.slow
def test_a_sentry_that_hangs_holds_nothing_up(
    database: Database, sentry: Sentry, collector: Collector
):
    collector.released.clear()  # until the end of this test

    with Bus(subscriptions=[FAILING], fail_fast=False) as bus:
        bus.publish(*[Noted(text=str(number)) for number in range(150)])  # above Sentry's queue
        bus.drain()
        failed = [each for each in bus.deliveries() if each.attempts == 1]
    sentry.close()

    assert len(failed) == 150
    assert len(collector.posted) == 1


def test_an_application_that_uses_sentry_keeps_its_client(collector: Collector):
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.init(collector.dsn, environment="newsletter", default_integrations=False)
    own = sentry_sdk.get_client()
    try:
        Sentry()

        assert sentry_sdk.get_client() is own
    finally:
        own.close(timeout=2)
        sentry_sdk.get_global_scope().set_client(None)


class Broken(observers.Observer):
    def failed(self, delivery: Any) -> None:
        raise ZeroDivisionError

    @contextmanager
    def handling(self, *_: Any) -> Iterator[None]:
        try:
            yield
        finally:
            raise ZeroDivisionError

    def publishing(self, *_: Any) -> Any:
        raise ZeroDivisionError

    requesting = publishing


def test_an_observer_that_fails_breaks_no_delivery(database: Database):
    broken = Broken()
    observers.add(broken)
    try:
        with observers.requesting("GET /", None):
            pass
        working = new_subscription(name="more.mark")
        with Bus(subscriptions=[FAILING, working], fail_fast=False) as bus:
            bus.publish(Noted(text="a"))
            bus.drain()
            assert {each.subscription: each.attempts for each in bus.deliveries()} == {
                FAILING.name: 1,
                working.name: 0,
            }
        assert marks() == {"a": 1}
    finally:
        observers.remove(broken)
