import threading
from collections import Counter

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from events import Database, DeadLetter, Retry, publish, reading, transaction
from events.admin import audit, dead_letters
from events.admin import subscriptions as admin
from events.errors import UnknownSubscription
from events.relay.fanout import fan_out
from events.subscriptions import Subscription
from events.tables import Delivery, SubscriptionRow
from events.testing import Bus, ManualClock
from tests.events.sample import Heard, Noted, deliveries, hearing, mark, marks, note

ONE = hearing()
LATER = hearing(name="late.mark")


def register(*subscriptions: Subscription) -> None:
    with transaction() as session:
        admin.register(session, subscriptions)


def rows() -> dict[str, SubscriptionRow]:
    with reading() as session:
        return {row.name: row for row in admin.listed(session)}


def test_a_registration_tells_the_relay_queue_types_batch_and_policy(
    any_database: Database, time: ManualClock
) -> None:
    register(hearing(mark, Noted, Heard, batch=7, retry=Retry(attempts=2, first=3, cap=4)))

    row = rows()["notes.mark"]
    assert (row.queue, row.event_types, row.batch) == ("notes", ["sample.noted", "sample.heard"], 7)
    assert row.policy == {"attempts": 2, "first": 3, "cap": 4}
    assert row.first_registered == row.last_seen == time()


def test_a_registration_anew_changes_what_changed_and_keeps_the_rest(
    any_database: Database, time: ManualClock
) -> None:
    register(ONE, LATER)
    with transaction() as session:
        admin.pause(session, "notes.mark", who="ada", why="mending")
    first = time()
    time.advance(60)
    register(hearing(batch=9))

    row = rows()["notes.mark"]
    assert (row.batch, row.first_registered, row.last_seen, row.paused_by) == (
        9,
        first,
        time(),
        "ada",
    )
    assert rows()["late.mark"].last_seen == first


def test_a_worker_registers_what_is_new_marks_the_rest_as_seen_and_changes_nothing(
    any_database: Database, time: ManualClock
) -> None:
    admin.seen([ONE])
    time.advance(60)
    admin.seen([ONE, LATER])
    time.advance(60)
    admin.seen([hearing(batch=4), LATER])
    admin.seen([])

    assert {name: (row.batch, row.last_seen == time()) for name, row in rows().items()} == {
        "notes.mark": (1, True),
        "late.mark": (1, True),
    }


def test_while_old_and_new_workers_live_side_by_side_no_event_misses_its_new_hearer(
    any_database: Database,
) -> None:
    old, new = hearing(mark, Noted), hearing(mark, Noted, Heard)
    register(old)
    admin.seen([new])
    admin.seen([old])  # the old version's worker says once a minute what it knows

    assert rows()["notes.mark"].event_types == sorted(new.event_types)
    register(old)  # only a migration takes something away
    assert rows()["notes.mark"].event_types == old.event_types


def test_a_hundred_workers_that_start_at_once_register_each_subscription_once(
    any_database: Database,
) -> None:
    subscriptions = [hearing(name=f"notes.mark_{letter}") for letter in "abcdefgh"]
    failures: list[Exception] = []

    def start(number: int) -> None:
        try:
            for _ in range(3):
                admin.seen(subscriptions[number % 3 :] + subscriptions[: number % 3])
                with transaction() as session:
                    fan_out(session)
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
        admin.resume(session, "notes.mark", who="bob")

    row = rows()["notes.mark"]
    assert (row.paused_at, row.paused_by, row.paused_why) == (None, None, None)
    with reading() as session:
        found = [(row.who, row.action, row.target, row.why) for row in audit.listed(session)]
    assert found == [
        ("bob", "resume", "notes.mark", ""),
        ("ada", "pause", "notes.mark", "the printer is on fire"),
    ]


def test_a_paused_subscription_keeps_its_backlog_and_goes_on_when_resumed(
    any_database: Database,
) -> None:
    with Bus(subscriptions=[ONE, LATER]) as bus:
        with transaction() as session:
            admin.pause(session, "notes.mark", who="ada", why="")
        note("a", "b")
        bus.advance(3600)
        assert marks() == {"a": 1, "b": 1}  # the other subscription's
        with transaction() as session:
            admin.resume(session, "notes.mark", who="ada")
        bus.drain()

    assert marks() == {"a": 2, "b": 2}


@pytest.mark.parametrize("act", [admin.pause, admin.resume, admin.remove])
def test_an_unknown_subscription_is_answered_with_the_known_ones(
    act: object, any_database: Database
) -> None:
    register(ONE)
    with (
        transaction() as session,
        pytest.raises(UnknownSubscription, match=r"'notes.nobody'; there are: notes\.mark"),
    ):
        act(session, "notes.nobody", who="ada", why="")  # type: ignore[operator]
    with pytest.raises(UnknownSubscription):
        admin.backfill("notes.nobody", who="ada")


def test_removing_a_subscription_discards_what_is_open_and_keeps_what_is_done(
    any_database: Database,
) -> None:
    with Bus(subscriptions=[ONE]) as bus:
        note("done")
        bus.drain()
        with transaction() as session:
            admin.pause(session, "notes.mark", who="ada", why="")
        note("open")
        bus.drain()
        with transaction() as session:
            assert admin.remove(session, "notes.mark", who="ada", why="its code is gone") == 1
        note("nobody hears it")
        bus.drain()

    assert [row.state for row in deliveries()] == ["done", "discarded"]
    assert rows() == {}


def test_a_dead_letter_of_a_removed_subscription_is_discarded_and_not_replayed_into_nowhere(
    any_database: Database,
) -> None:
    def give_up(event: Noted, session: Session) -> None:
        raise DeadLetter("no")

    with Bus(subscriptions=[hearing(give_up)], fail_fast=False) as bus:
        note("a")
        bus.drain()
    with transaction() as session:
        assert admin.remove(session, "notes.mark", who="ada", why="its code is gone") == 1
        assert dead_letters.replay(session, who="bob", everything=True) == 0

    assert [row.state for row in deliveries()] == ["discarded"]


def test_a_new_subscription_hears_nothing_of_the_past_until_it_is_backfilled(
    any_database: Database,
) -> None:
    with Bus(subscriptions=[ONE]) as bus:
        note("a", "b")
        bus.publish(Heard(text="of no interest"))
        bus.drain()
    with Bus(subscriptions=[ONE, LATER]) as bus:
        note("c")
        bus.drain()
        assert len(deliveries("late.mark")) == 1
        assert admin.backfill("late.mark", who="ada", limit=1) == 2
        assert admin.backfill("late.mark", who="ada") == 0  # run twice it adds nothing
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
            target=lambda: added.append(admin.backfill("late.mark", who="ada", limit=5))
        )
        for _ in range(3)
    ]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join()

    assert (len(added), sum(added)) == (3, 60)


def test_a_backfill_leaves_no_gap_while_live_events_flow(any_database: Database) -> None:
    register(ONE)
    stop, failures = threading.Event(), []

    def forever(work: object) -> None:
        try:
            while not stop.is_set():
                work()  # type: ignore[operator]
        except Exception as error:
            failures.append(error)

    live = [
        threading.Thread(target=forever, args=(work,))
        for work in (lambda: note("x"), lambda: note("y", "z"), _fan_out_some, _fan_out_some)
    ]
    for thread in live:
        thread.start()
    try:
        _wait_for_deliveries(20)
        register(LATER)
        admin.backfill("late.mark", who="ada", limit=4)
    finally:
        stop.set()
        for thread in live:
            thread.join()
    while _fan_out_some():
        pass

    assert failures == []
    assert Counter(row.event_id for row in deliveries("late.mark")) == Counter(
        row.event_id for row in deliveries()
    )


def _fan_out_some() -> int:
    with transaction() as session:
        return fan_out(session, limit=3)


def _wait_for_deliveries(count: int) -> None:
    while True:
        with reading() as session:
            if (session.scalar(select(func.count()).select_from(Delivery)) or 0) >= count:
                return


def test_on_postgresql_a_registration_waits_for_the_fan_out_in_flight(postgres_url: str) -> None:
    database = Database(postgres_url)
    Delivery.metadata.create_all(database.writer)
    try:
        with database.transaction() as session:
            publish(session, Noted(text="a"))
        with database.transaction() as relaying:
            fan_out(relaying)
            with database.transaction() as session, pytest.raises(Exception, match="lock timeout"):
                _register_impatiently(session)
        with database.transaction() as session:
            _register_impatiently(session)
    finally:
        database.close()


def _register_impatiently(session: Session) -> None:
    session.execute(text("SET LOCAL lock_timeout = '50ms'"))
    admin.register(session, [LATER])
