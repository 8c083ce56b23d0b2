"""The preview: what the rules would have raised, read from the log and the ledger."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from events import Database, DeadLetter, breakers, clock, reading, transaction
from events.admin import replays
from events.alerts import preview as module
from events.alerts.preview import Preview, preview
from events.settings import settings
from events.testing import Bus
from tests.events.alerts.alerting import only
from tests.events.breakers.outage import SERVICE, dependent, outage, renew_service
from tests.events.sample import new_subscription, note, raising

HOUR = 3600.0


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that switches all rules off but those that are given."""
    renew_service()
    yield lambda **given: only(monkeypatch, **given)
    settings.cache_clear()


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    dead = new_subscription(raising(lambda: DeadLetter("no")))
    with Bus(subscriptions=[dead, dependent()], fail_fast=False) as running:
        yield running


def previewed() -> Preview:
    with reading() as session:
        return preview(session, settings(), clock.now())


def found() -> list[tuple[str, str, int]]:
    return [(each.rule, each.subject, each.messages) for each in previewed().alerts]


def test_causes_are_read_from_the_log_with_a_message_an_hour_even_when_they_were_replayed(
    bus: Bus, limits: Callable[..., None]
) -> None:
    limits(new_cause="on", dead="2")
    note("long ago")
    bus.drain()
    bus.advance(30 * HOUR)
    assert found() == []
    for after in (0, 60, HOUR, 60):
        bus.clock.advance(after)
        note("dies")
        bus.drain()
    alerts = previewed().alerts
    assert found() == [("new cause", "notes.mark", 2), ("dead", "all", 1)]
    assert [alerts[1].at - alerts[0].at, alerts[0].cause[:10]] == [
        pytest.approx(timedelta(seconds=60), abs=timedelta(seconds=1)),
        "DeadLetter",
    ]
    with transaction() as session:
        replays.start(session, who="ada", why="test", subscription="notes.mark")
    assert found() == [("new cause", "notes.mark", 2)]  # from the log
    bus.advance(25 * HOUR)
    bus.clock.advance(25 * HOUR)
    assert found() == []


def test_waits_that_are_over_are_found_with_their_ends(
    bus: Bus, limits: Callable[..., None]
) -> None:
    limits(oldest="900", relay_behind="60")
    note("waits")
    bus.clock.advance(600)
    bus.send_due()  # ten minutes late
    bus.clock.advance(HOUR)
    bus.drain()

    [relay, queue] = previewed().alerts
    assert (relay.rule, queue.rule, queue.subject) == ("relay behind", "oldest", "notes")
    assert relay.until is not None
    assert round((relay.until - relay.at).total_seconds()) == 540
    assert queue.until is not None
    assert queue.at < queue.until <= clock.now()
    bus.clock.advance(25 * HOUR)
    assert found() == []


def test_outages_are_read_from_the_events_of_the_breakers(
    bus: Bus, limits: Callable[..., None]
) -> None:
    limits(breaker_open="60")
    outage(bus)
    bus.clock.advance(30)
    assert found() == []
    bus.clock.advance(2 * HOUR)
    assert found() == [("breaker open", "service", 2)]
    SERVICE.error = None
    for _ in range(20):
        bus.advance(60)
    [alert] = previewed().alerts
    assert alert.until is not None
    with transaction() as session:
        breakers.hold(session, breakers.lock(session, "service"), who="ada", why="x")
    bus.clock.advance(HOUR)
    assert len(previewed().alerts) == 1  # who holds it by hand knows it


def test_it_says_what_cannot_be_reconstructed_and_where_it_stopped(
    bus: Bus, limits: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(new_cause="on", dead="2", oldest="900", no_worker="60", relay_behind="60")
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    for text in "abc":
        note(text)
    bus.drain()

    notes = previewed().notes
    assert {each.partition(":")[0] for each in notes} == {
        *("new cause", "dead", "oldest", "no worker", "relay behind")
    }
    assert "relay behind: only the latest 2 events were examined" in notes
    limits()
    assert (previewed().alerts, previewed().notes) == ([], [])
