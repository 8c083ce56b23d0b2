"""The segments of deliveries, and the critical path through them."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from events import Database, Retry, clock, reading, transaction
from events.admin import dead_letters, replays, subscriptions
from events.tables import Attempt, Delivery, LogEntry
from events.testing import Bus
from events.traces import critical_path, timed
from events.traces.critical_path import Leg
from events.traces.timed import TimedEvent
from tests.events.sample import Noted, Replied, new_subscription, note

TICK = timedelta(seconds=0.01)
broken = {"replies": False}


def reply(event: Noted, session: Session) -> Replied:
    if broken["replies"]:
        raise ValueError("no <b>\nsecond line")
    return Replied(text=event.text)


REPLYING = new_subscription(reply, name="sample.reply", retry=Retry(attempts=2, first=10, cap=10))
READING = new_subscription(lambda event, session: None, Replied, name="readers.read")
OTHER = new_subscription(lambda event, session: None, Noted, name="others.read")


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """A bus on which a reply follows a note, and another queue that nothing waits for."""
    broken["replies"] = False
    with Bus(subscriptions=[REPLYING, READING, OTHER], fail_fast=False) as bus:
        bus.clock._tick = TICK
        yield bus


def traced() -> list[TimedEvent]:
    with reading() as session:
        return timed.of(session, "N-1", now=clock.now())


def path(events: list[TimedEvent], **options: bool) -> list[Leg]:
    return critical_path.find(events, lambda each: each.queue != "others", **options)


def kinds(leg: Leg) -> list[str]:
    return [str(each.kind) for each in leg.segments()]


def assert_adds_up(events: list[TimedEvent], legs: list[Leg]) -> None:
    parts = [part for leg in legs for part in leg.segments()]
    assert parts[0].start == events[0].at
    assert all(one.end == next_one.start for one, next_one in pairwise(parts))
    assert sum(part.took for part in parts) == pytest.approx(
        (legs[-1].end - events[0].at).total_seconds()
    )


def test_a_delivery_that_failed_died_was_replayed_and_handled_is_shown_part_by_part(bus: Bus):
    broken["replies"] = True
    note("a", subject="N-1")
    bus.drain()
    bus.advance(60)
    dead, _ = path(traced()), bus.advance(600)
    broken["replies"] = False
    with transaction() as session:
        replays.start(session, who="ada", why="mended", subscription="sample.reply")
    bus.drain()
    bus.advance(60)
    events = traced()
    legs = path(events)

    assert kinds(dead[0]) == ["waiting", "failed", "waiting", "failed", "dead"]
    assert kinds(legs[0]) == [*kinds(dead[0]), "waiting", "handled"]
    texts = [each.text for each in legs[0].segments()]
    assert texts[1:5] == [
        "attempt 1: ValueError: no <b>",
        "before attempt 2",
        "attempt 2: ValueError: no <b>",
        "dead letter, until replay 1",
    ]
    assert legs[0].segments()[4].took > 600
    names = [leg.track.delivery.subscription for leg in legs if leg.track]
    assert names == ["sample.reply", "readers.read"]
    assert_adds_up(events, legs)


def test_what_is_open_goes_on_until_now_and_says_if_it_was_paused(bus: Bus):
    with transaction() as session:
        subscriptions.pause(session, "sample.reply", who="ada", why="test")
    note("a", subject="N-1")
    unrelayed = path(traced())
    bus.drain()
    bus.advance(100)
    [waiting] = path(traced())
    with transaction() as session:
        subscriptions.resume(session, "sample.reply", who="ada", why="over")
    bus.drain()
    events = traced()

    assert [leg.track for leg in unrelayed] == [None]
    assert unrelayed[0].segments()[0].text == "until the relay takes it"
    assert [each.text for each in waiting.segments()] == ["waiting: sample.reply was paused"]
    assert waiting.segments()[0].took > 99
    first, *_ = path(events)
    assert [each.text for each in first.segments()] == [
        "waiting: sample.reply was paused",
        "handled",
    ]


def test_a_request_between_goes_on_where_the_work_stood_or_had_ended(bus: Bus):
    note("a", subject="N-1")
    bus.drain()
    bus.advance(300)
    note("b", subject="N-1")
    bus.drain()
    events = traced()
    legs = path(events)

    assert [leg.event is None for leg in legs] == [False, False, True, False, False]
    assert legs[2].segments()[0].text == "nothing to do until the next request"
    assert legs[2].segments()[0].took > 299
    assert_adds_up(events, legs)


def test_what_was_discarded_is_no_end_of_what_is_settled(bus: Bus):
    broken["replies"] = True
    note("a", subject="N-1")
    bus.drain()
    bus.advance(60)
    broken["replies"] = False
    note("b", subject="N-1")
    bus.drain()
    bus.advance(500)
    dead_letters.discard(who="ada", why="old", subscription="sample.reply")

    assert kinds(path(traced())[-1])[-1] == "dead"
    assert kinds(path(traced(), settled=True)[-1])[-1] == "handled"


def test_clocks_that_disagree_make_no_negative_time(bus: Bus):
    note("a", subject="N-1")
    broken["replies"] = True
    bus.drain()
    broken["replies"] = False
    bus.advance(60)
    late = clock.now() + timedelta(hours=3)
    with transaction() as session:
        session.execute(
            update(LogEntry)
            .where(LogEntry.type == Replied.type)
            .values(time=late - timedelta(hours=9))
        )
        session.execute(update(Attempt).values(started_at=late, took=-5.0))
        session.execute(update(Delivery).values(sent_at=late))
    events = traced()
    legs = path(events)

    assert all(part.took >= 0 for leg in legs for part in leg.segments())
    assert all(
        each.took >= 0 for event in events for track in event.tracks for each in track.segments
    )
    assert_adds_up(events, legs)


def test_a_subject_without_events_has_no_path(bus: Bus):
    assert path(traced()) == []
