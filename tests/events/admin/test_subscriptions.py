"""Registered subscriptions: registration, pause and removal."""

import threading
from collections import Counter

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from events import Database, DeadLetter, Retry, reading, transaction
from events.admin import audit, replays
from events.admin import subscriptions as admin
from events.errors import NothingToReplay, UnknownSubscription
from events.relay.round import do_round
from events.subscriptions import Subscription
from events.tables import SubscriptionRow
from events.testing import Bus, ManualClock
from tests.events.sample import Noted, Replied, deliveries, mark, marks, new_subscription, note

ONE = new_subscription()
LATER = new_subscription(name="late.mark")


def register(*subscriptions: Subscription) -> None:
    with transaction() as session:
        admin.register(session, subscriptions)


def rows() -> dict[str, SubscriptionRow]:
    with reading() as session:
        return {row.name: row for row in admin.listed(session)}


def test_a_registration_stores_queue_types_batch_and_policy(
    any_database: Database, time: ManualClock
) -> None:
    register(
        new_subscription(mark, Noted, Replied, batch=7, retry=Retry(attempts=2, first=3, cap=4))
    )

    row = rows()["notes.mark"]
    assert (row.queue, row.event_types, row.batch) == (
        "notes",
        ["sample.noted", "sample.replied"],
        7,
    )
    assert admin.policy_of(row.policy) == Retry(attempts=2, first=3, cap=4)
    assert row.first_registered == row.last_seen == time()


def test_a_second_registration_updates_the_declaration_and_keeps_the_rest(
    any_database: Database, time: ManualClock
) -> None:
    register(ONE, LATER)
    with transaction() as session:
        admin.pause(session, "notes.mark", who="ada", why="maintenance")
    first = time()
    time.advance(60)
    register(new_subscription(batch=9))

    row = rows()["notes.mark"]
    assert (row.batch, row.first_registered, row.last_seen, row.paused_by) == (
        9,
        first,
        time(),
        "ada",
    )
    assert rows()["late.mark"].last_seen == first


def test_touch_registers_new_subscriptions_and_updates_only_last_seen_of_others(
    any_database: Database, time: ManualClock
) -> None:
    admin.touch([ONE])
    time.advance(60)
    admin.touch([ONE, LATER])
    time.advance(60)
    admin.touch([new_subscription(batch=4), LATER])
    admin.touch([])

    assert {name: (row.batch, row.last_seen == time()) for name, row in rows().items()} == {
        "notes.mark": (1, True),
        "late.mark": (1, True),
    }


def test_an_added_event_type_stays_registered_while_old_workers_still_run(
    any_database: Database,
) -> None:
    old, new = new_subscription(mark, Noted), new_subscription(mark, Noted, Replied)
    register(old)
    admin.touch([new])
    admin.touch([old])  # the old worker touches its own once a minute

    assert rows()["notes.mark"].event_types == sorted(new.event_types)
    register(old)  # only a migration removes a type
    assert rows()["notes.mark"].event_types == old.event_types


def test_workers_that_start_at_once_register_each_subscription_once(
    any_database: Database,
) -> None:
    subscriptions = [new_subscription(name=f"notes.mark_{letter}") for letter in "abcdefgh"]
    failures: list[Exception] = []

    def start(number: int) -> None:
        try:
            for _ in range(3):
                admin.touch(subscriptions[number % 3 :] + subscriptions[: number % 3])
                with transaction() as session:
                    do_round(session, Counter())
        except Exception as error:
            failures.append(error)

    note(*map(str, range(50)))
    workers = [threading.Thread(target=start, args=(number,)) for number in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert failures == []
    assert len(rows()) == 8


def test_a_pause_and_its_end_are_audited(any_database: Database, time: ManualClock) -> None:
    register(ONE)
    with transaction() as session:
        admin.pause(session, "notes.mark", who="ada", why="the printer is on fire")
    assert (rows()["notes.mark"].paused_at, rows()["notes.mark"].paused_why) == (
        time(),
        "the printer is on fire",
    )
    with transaction() as session:
        admin.resume(session, "notes.mark", who="bob", why="test")

    row = rows()["notes.mark"]
    assert (row.paused_at, row.paused_by, row.paused_why) == (None, None, None)
    with reading() as session:
        found = [(row.who, row.action, row.target, row.why) for row in audit.listed(session)]
    assert found == [
        ("bob", "resume", "notes.mark", "test"),
        ("ada", "pause", "notes.mark", "the printer is on fire"),
    ]


def test_a_paused_subscription_keeps_its_backlog_and_continues_when_resumed(
    any_database: Database,
) -> None:
    with Bus(subscriptions=[ONE, LATER]) as bus:
        with transaction() as session:
            admin.pause(session, "notes.mark", who="ada", why="test")
        note("a", "b")
        bus.advance(3600)
        assert marks() == {"a": 1, "b": 1}  # the other subscription's
        with transaction() as session:
            admin.resume(session, "notes.mark", who="ada", why="test")
        bus.drain()

    assert marks() == {"a": 2, "b": 2}


@pytest.mark.parametrize("act", [admin.pause, admin.resume, replays.start_backfill])
def test_the_error_for_an_unknown_subscription_lists_the_known_ones(
    act: object, any_database: Database
) -> None:
    register(ONE)
    refused = pytest.raises(UnknownSubscription, match=r"'notes.nobody'; there are: notes\.mark")
    with transaction() as session, refused:
        act(session, "notes.nobody", who="ada", why="test")  # type: ignore[operator]


def test_the_error_of_a_removal_of_an_unknown_subscription_does_too(any_database: Database) -> None:
    register(ONE)
    with pytest.raises(UnknownSubscription, match=r"'notes.nobody'; there are: notes\.mark"):
        admin.unregister("notes.nobody", who="ada", why="test")


def test_unregistering_discards_open_deliveries_and_keeps_done_ones(
    any_database: Database,
) -> None:
    with Bus(subscriptions=[ONE]) as bus:
        note("done")
        bus.drain()
        with transaction() as session:
            admin.pause(session, "notes.mark", who="ada", why="test")
        note("open")
        bus.drain()
        assert admin.unregister("notes.mark", who="ada", why="its code is gone") == 1
        note("after the removal")
        bus.drain()

    assert [row.state for row in deliveries()] == ["done", "discarded"]
    assert rows() == {}


def test_dead_letters_of_a_removed_subscription_are_discarded_and_cannot_be_replayed(
    any_database: Database,
) -> None:
    def give_up(event: Noted, session: Session) -> None:
        raise DeadLetter("no")

    with Bus(subscriptions=[new_subscription(give_up)], fail_fast=False) as bus:
        note("a")
        bus.drain()
    assert admin.unregister("notes.mark", who="ada", why="its code is gone") == 1
    with pytest.raises(NothingToReplay), transaction() as session:
        replays.start(session, who="bob", why="test", everything=True)

    assert [row.state for row in deliveries()] == ["discarded"]


def test_on_postgresql_a_registration_waits_for_the_fan_out_in_flight(
    postgres_database: Database,
) -> None:
    note("a")
    with transaction() as relaying:
        do_round(relaying, Counter())
        with transaction() as session, pytest.raises(Exception, match="lock timeout"):
            register_with_short_timeout(session)
    with transaction() as session:
        register_with_short_timeout(session)


def register_with_short_timeout(session: Session) -> None:
    session.execute(text("SET LOCAL lock_timeout = '50ms'"))
    admin.register(session, [LATER])
