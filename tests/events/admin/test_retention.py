"""Retention: the rows that are pruned, those that stay, and no pruned one is handled again."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events import Database, Event, Retry, clock, reading, subscribe, transaction
from events.admin import audit, invalid_messages, replays, retention, subscriptions
from events.admin.retention import Counts, Limits
from events.errors import NothingToReplay
from events.subscriptions import Subscription, registered
from events.tables import Attempt, Delivery, LogEntry
from events.testing import Bus

DAY = 24 * 3600.0
handled: list[str] = []


class Kept(Event, type="retention.kept", source="test"):
    """A thing was stored."""

    name: str


@subscribe(Kept, queue="keepers", retry=Retry(attempts=2, first=1.0, cap=1.0))
def keep(event: Kept, session: Session) -> None:
    if event.name.startswith("bad"):
        raise ValueError(event.name)
    handled.append(event.name)


def keepers() -> list[Subscription]:
    return [each for each in registered().values() if each.queue == "keepers"]


@pytest.fixture
def bus(any_database: Database) -> Bus:
    handled.clear()
    return Bus(subscriptions=keepers(), fail_fast=False)


def limits(*, dead: float = 90, done: float | None = None, events: float | None = None) -> Limits:
    """Return limits that lie so many days ago."""

    def ago(days: float) -> datetime:
        return clock.now() - timedelta(days=days)

    return Limits(
        dead=ago(dead),
        done=None if done is None else ago(done),
        events=None if events is None else ago(events),
    )


def rows(kind: type[Delivery | Attempt | LogEntry]) -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(kind)) or 0


def invalid_message() -> None:
    with transaction() as session:
        invalid_messages.keep(
            session, queue="keepers", reason="test", error="", headers="{}", body=b""
        )


def test_old_dead_letters_are_pruned_with_their_attempts_and_young_ones_stay(bus: Bus) -> None:
    with bus:
        bus.publish(Kept(name="good"), Kept(name="bad 1"), Kept(name="bad 2"))
        bus.drain()
        bus.advance(10)
        invalid_message()
        bus.advance(60 * DAY)
        bus.publish(Kept(name="bad 3"))
        bus.drain()
        bus.advance(10)
        invalid_message()
        bus.advance(40 * DAY)
        expected = Counts(dead_letters=2, attempts=4, invalid_messages=1)

        assert retention.count(limits()) == expected
        assert retention.prune(limits(), who="ada", why="test", at_once=1) == expected

        assert {row.state: row.attempts for row in bus.deliveries()} == {"done": 0, "dead": 2}
        assert rows(Attempt) == 2
        assert rows(LogEntry) == 4 + 3  # each death is an event
        assert retention.prune(limits(), who="ada", why="test") == Counts()


def test_discarded_deliveries_are_pruned_by_the_time_they_were_discarded(bus: Bus) -> None:
    with bus:
        bus.publish(Kept(name="bad"))
        bus.drain()
        subscriptions.unregister("keepers.keep", who="ada", why="test")
        bus.advance(89 * DAY)
        assert retention.prune(limits(), who="ada", why="test") == Counts()
        bus.advance(2 * DAY)
        assert retention.prune(limits(), who="ada", why="test") == Counts(
            dead_letters=1, attempts=1
        )


def test_an_open_delivery_is_never_pruned(bus: Bus) -> None:
    with bus:
        with transaction() as session:
            subscriptions.pause(session, "keepers.keep", who="ada", why="test")
        bus.publish(Kept(name="good"))
        bus.advance(1000 * DAY)
        retention.prune(limits(dead=1, done=1, events=1), who="ada", why="test")

        assert [row.state for row in bus.deliveries()] == ["pending"]
        assert rows(LogEntry) == 1


def test_handled_deliveries_are_pruned_only_on_request(bus: Bus) -> None:
    with bus:
        bus.publish(Kept(name="good"))
        bus.drain()
        bus.advance(100 * DAY)

        assert retention.prune(limits(), who="ada", why="test") == Counts()
        assert retention.prune(limits(done=30), who="ada", why="test") == Counts(done=1)
        assert rows(LogEntry) == 1


def backfill() -> int:
    with transaction() as session:
        return replays.start_backfill(session, "keepers.keep", who="ada", why="test").total


def test_a_backfill_does_not_handle_pruned_deliveries_again(bus: Bus) -> None:
    with bus:
        bus.publish(Kept(name="old"))
        bus.drain()
        bus.advance(100 * DAY)
        retention.prune(limits(done=30), who="ada", why="test")

        with pytest.raises(NothingToReplay):
            backfill()
        subscriptions.unregister("keepers.keep", who="ada", why="test")
        bus.publish(Kept(name="missed"))
        bus.drain()
        with transaction() as session:
            subscriptions.register(session, keepers())
        assert backfill() == 1
        bus.drain()

    assert handled == ["old", "missed"]


def test_an_event_is_pruned_with_its_whole_subject_and_not_before(bus: Bus) -> None:
    with bus:
        for subject in ("A", "B"):
            bus.publish(Kept(name="first"), subject=subject)
        bus.drain()
        bus.advance(100 * DAY)
        bus.publish(Kept(name="second"), subject="B")
        bus.drain()
        bus.advance(20 * DAY)
        expected = Counts(done=2, events=1)

        assert retention.count(limits(done=30, events=30)) == expected
        assert retention.prune(limits(done=30, events=30), who="ada", why="test") == expected

        with reading() as session:
            assert session.scalars(select(LogEntry.subject)).all() == ["B", "B"]


def test_an_event_stays_while_it_has_a_dead_letter(bus: Bus) -> None:
    with bus:
        bus.publish(Kept(name="bad"), subject="A")
        bus.drain()
        bus.advance(10)
        bus.advance(50 * DAY)

        assert retention.count(limits(events=30)).events == 0
        assert retention.prune(limits(events=30), who="ada", why="test") == Counts()
        assert retention.prune(limits(dead=40, events=30), who="ada", why="test") == Counts(
            dead_letters=1, attempts=2, events=2
        )


def test_pruning_is_audited_with_its_limits(bus: Bus) -> None:
    with bus:
        retention.prune(limits(done=30), who="ada", why="the lawyers say so")
    with reading() as session:
        [line] = audit.listed(session)

    assert (line.who, line.action, line.why) == ("ada", "prune", "the lawyers say so")
    assert line.target.startswith("dead letters and invalid messages before 20")
    assert "handled deliveries before 20" in line.target


def test_counting_changes_nothing(bus: Bus) -> None:
    with bus:
        bus.publish(Kept(name="bad"))
        bus.drain()
        bus.advance(100 * DAY)
        retention.count(limits(dead=1, done=1, events=1))
    with reading() as session:
        assert audit.listed(session) == []
    assert rows(Delivery) == 1
