"""Queues as an operator sees them: open and dead deliveries, age, pauses, workers."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from events import Database, heartbeat, reading, transaction
from events.admin import queues, subscriptions
from events.admin.queues import QueueView
from events.testing import Bus, ManualClock
from tests.events.sample import Noted, Replied, new_subscription, note, send


def answer(event: Noted, session: Session) -> Replied:
    if event.text == "fail":
        raise ValueError("no")
    return Replied(text=event.text)


ANSWERING = new_subscription(answer, name="notes.answer")
OTHER = new_subscription(lambda event, session: None, Replied, name="others.ignore")


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """A bus with two queues."""
    with Bus(subscriptions=[ANSWERING, OTHER], fail_fast=False) as bus:
        yield bus


def view(name: str) -> QueueView:
    """Return one queue of the overview."""
    with reading() as session:
        [found] = [each for each in queues.overview(session) if each.name == name]
    return found


def test_a_queue_shows_its_waiting_retrying_and_dead_deliveries(bus: Bus) -> None:
    note("fail")
    bus.drain()
    assert (view("notes").waiting, view("notes").retrying, view("notes").dead) == (0, 1, 0)
    bus.advance(100)
    bus.advance(100)
    note("a", "b")
    send(ANSWERING)

    found = view("notes")
    assert (found.waiting, found.in_flight, found.retrying, found.dead) == (0, 2, 0, 1)
    assert (found.paused, found.workers, found.open, found.state) == (False, 0, 2, "no worker")
    assert view("others") == QueueView(name="others", subscribed=True)


def test_done_deliveries_are_not_counted(bus: Bus) -> None:
    note("a", "b")
    bus.drain()

    assert view("notes") == QueueView(name="notes", subscribed=True)
    assert view("others").oldest is None


def test_the_age_of_a_queue_is_that_of_its_oldest_open_event(
    any_database: Database, time: ManualClock
) -> None:
    note("a")
    time.advance(30)
    note("b")
    send(ANSWERING)
    time.advance(12)

    assert view("notes").oldest == 42.0


def test_a_paused_subscription_shows_on_its_queue(bus: Bus) -> None:
    with transaction() as session:
        subscriptions.pause(session, "notes.answer", who="ada", why="maintenance")

    assert (view("notes").paused, view("others").paused) == (True, False)


def test_events_that_are_not_fanned_out_yet_are_counted(bus: Bus) -> None:
    note("a", "b")
    with reading() as session:
        assert queues.unrelayed(session) == 2
    bus.drain()
    with reading() as session:
        assert queues.unrelayed(session) == 0


def test_a_worker_is_counted_while_its_heartbeat_is_fresh(
    any_database: Database, time: ManualClock
) -> None:
    heartbeat.beat("notes@one", "worker", ["notes"])
    heartbeat.beat("notes@two", "worker", ["notes", "others"])
    heartbeat.beat("relay@one", "relay", trouble="the broker is down")

    assert (view("notes").workers, view("others").workers) == (2, 1)
    time.advance(16)
    heartbeat.beat("notes@two", "worker", ["notes", "others"])
    with reading() as session:
        assert [row.name for row in heartbeat.alive(session)] == ["notes@two"]
        assert [row.name for row in heartbeat.alive(session, within=60)] == [
            "notes@one",
            "notes@two",
            "relay@one",
        ]
    assert view("notes").workers == 1
