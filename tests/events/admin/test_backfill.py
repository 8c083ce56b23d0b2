"""Backfill: the deliveries of past events for a new subscription."""

import threading
from collections import Counter

from sqlalchemy import func, select

from events import Database, reading, transaction
from events.admin import subscriptions as admin
from events.relay.round import do_round
from events.subscriptions import Subscription
from events.tables import Delivery
from events.testing import Bus
from tests.events.sample import Replied, deliveries, marks, new_subscription, note

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
        assert admin.backfill("late.mark", who="ada", why="test", at_once=1) == 2
        assert (
            admin.backfill("late.mark", who="ada", why="test") == 0
        )  # a second run adds no delivery
        bus.drain()

    assert {row.state for row in deliveries("late.mark")} == {"done"}
    assert marks() == {"a": 2, "b": 2, "c": 2}


def test_two_backfills_at_once_add_each_delivery_once(any_database: Database) -> None:
    with Bus(subscriptions=[ONE]) as bus:
        note(*map(str, range(60)))
        bus.drain()
    register(LATER)
    added: list[int] = []
    operators = [
        threading.Thread(
            target=lambda: added.append(
                admin.backfill("late.mark", who="ada", why="test", at_once=5)
            )
        )
        for _ in range(3)
    ]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join()

    assert (len(added), sum(added)) == (3, 60)


def test_a_backfill_leaves_no_gap_while_events_are_published(any_database: Database) -> None:
    register(ONE)
    stop, failures = threading.Event(), []

    def repeat(work: object) -> None:
        try:
            while not stop.is_set():
                work()  # type: ignore[operator]
        except Exception as error:
            failures.append(error)

    publishers = [
        threading.Thread(target=repeat, args=(work,))
        for work in (lambda: note("x"), lambda: note("y", "z"), do_a_round, do_a_round)
    ]
    for thread in publishers:
        thread.start()
    try:
        wait_for_deliveries(20)
        register(LATER)
        admin.backfill("late.mark", who="ada", why="test", at_once=4)
    finally:
        stop.set()
        for thread in publishers:
            thread.join()
    while do_a_round():
        pass

    assert failures == []
    filled = Counter(row.event_id for row in deliveries("late.mark"))
    assert filled == Counter(row.event_id for row in deliveries())


def do_a_round() -> int:
    with transaction() as session:
        return do_round(session, Counter()).events


def wait_for_deliveries(count: int) -> None:
    while True:
        with reading() as session:
            if (session.scalar(select(func.count()).select_from(Delivery)) or 0) >= count:
                return
