"""Backfill: the deliveries of past events for a new subscription."""

import threading
from collections import Counter

import pytest
from sqlalchemy import func, select, update

from events import Database, reading, transaction
from events.admin import replays
from events.admin import subscriptions as admin
from events.errors import AlreadyReplaying, NothingToReplay
from events.relay.round import do_round
from events.replays.driver import drive
from events.replays.steps import AT_ONCE, Pace
from events.subscriptions import Subscription
from events.tables import Delivery
from events.testing import Bus
from tests.events.sample import Noted, Replied, deliveries, mark, marks, new_subscription, note

ONE = new_subscription()
LATER = new_subscription(name="late.mark")


def register(*subscriptions: Subscription) -> None:
    with transaction() as session:
        admin.register(session, subscriptions)


def test_a_new_subscription_gets_past_events_by_a_backfill_only(
    any_database: Database,
) -> None:
    with Bus(subscriptions=[ONE]) as bus:
        note("a", "b")
        bus.publish(Replied(text="not subscribed to"))
        bus.drain()
    with Bus(subscriptions=[ONE, LATER]) as bus:
        note("c")
        bus.drain()
        assert len(deliveries("late.mark")) == 1
        assert backfill(Pace((1,))) == 2
        bus.drain()
        with pytest.raises(NothingToReplay, match="has every earlier event"):
            backfill()  # a second one adds no delivery

    assert {row.state for row in deliveries("late.mark")} == {"done"}
    assert marks() == {"a": 2, "b": 2, "c": 2}


def test_of_two_backfills_at_once_the_second_is_told_of_the_first(any_database: Database) -> None:
    with Bus(subscriptions=[ONE]) as bus:
        note(*map(str, range(60)))
        bus.drain()
    register(LATER)
    begun: list[int] = []
    refused: list[AlreadyReplaying] = []

    def operate() -> None:
        try:
            begun.append(backfill(Pace((5,))))
        except AlreadyReplaying as error:
            refused.append(error)

    operators = [threading.Thread(target=operate) for _ in range(3)]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join()

    assert (begun, len(refused)) == ([60], 2)
    with Bus(subscriptions=[ONE, LATER]) as bus:
        bus.drain()
    assert {row.state for row in deliveries("late.mark")} == {"done"}
    assert len(deliveries("late.mark")) == 60


def test_a_backfill_of_one_type_leaves_the_others(any_database: Database) -> None:
    both = new_subscription(mark, Noted, Replied, name="late.mark")
    with Bus(subscriptions=[ONE]) as bus:
        note("a")
        bus.publish(Replied(text="b"))
        bus.drain()
    with Bus(subscriptions=[ONE, both]) as bus:
        assert backfill(event_type="sample.replied") == 1
        bus.drain()

    assert marks() == {"a": 1, "b": 1}


def backfill(pace: Pace = AT_ONCE, event_type: str | None = None) -> int:
    """Start a backfill of the later subscription, and return the number of events."""
    with transaction() as session:
        job = replays.start_backfill(
            session, "late.mark", who="ada", why="test", pace=pace, event_type=event_type
        )
        return job.total


def test_a_backfill_leaves_no_gap_while_events_are_published(any_database: Database) -> None:
    register(ONE)
    stop, failures = threading.Event(), []

    def repeat(work: object) -> None:
        try:
            while not stop.is_set():
                work()  # type: ignore[operator]
        except Exception as error:
            failures.append(error)

    works = (lambda: note("x"), lambda: note("y", "z"), do_a_round, do_a_round)
    publishers = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in publishers:
        thread.start()
    try:
        wait_for_deliveries(20)
        register(LATER)
        backfill(Pace((4,)))
        while drive():
            settle()
    finally:
        stop.set()
        for thread in publishers:
            thread.join()
    while do_a_round() or drive():
        settle()

    assert failures == []
    filled = Counter(row.event_id for row in deliveries("late.mark"))
    assert filled == Counter(row.event_id for row in deliveries())


def settle() -> None:
    """Mark all deliveries of the later subscription as handled."""
    with transaction() as session:
        session.execute(
            update(Delivery).where(Delivery.subscription == "late.mark").values(state="done")
        )


def do_a_round() -> int:
    with transaction() as session:
        return do_round(session, Counter()).events


def wait_for_deliveries(count: int) -> None:
    while True:
        with reading() as session:
            if (session.scalar(select(func.count()).select_from(Delivery)) or 0) >= count:
                return
