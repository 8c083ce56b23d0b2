import threading
from collections import Counter
from datetime import timedelta

from sqlalchemy import func, select

from events import Database, publish, reading, transaction
from events.admin import subscriptions as admin
from events.relay.fanout import fan_out
from events.tables import Delivery, LogEntry
from events.testing import ManualClock
from tests.events.sample import Heard, Noted, deliveries, hearing, note, send

MARKING = hearing()
OTHER = hearing(name="others.mark")
HEARING_BOTH = hearing(lambda event, session: None, Noted, Heard, name="both.mark")


def register(*subscriptions: object) -> None:
    with transaction() as session:
        admin.register(session, subscriptions)  # type: ignore[arg-type]


def fan_out_all() -> int:
    total = 0
    while True:
        with transaction() as session:
            found = fan_out(session, limit=7)
        if not found:
            return total
        total += found


def test_each_subscription_that_hears_an_event_gets_one_delivery_of_it(
    any_database: Database,
) -> None:
    register(MARKING, OTHER, HEARING_BOTH)
    with transaction() as session:
        publish(session, Noted(text="a"), Heard(text="b"), subject="N-1")

    assert fan_out_all() == 2
    with reading() as session:
        found = session.execute(
            select(Delivery.subscription, LogEntry.type).join(
                LogEntry, LogEntry.id == Delivery.event_id
            )
        ).all()
    heard = {
        ("notes.mark", "sample.noted"),
        ("others.mark", "sample.noted"),
        ("both.mark", "sample.noted"),
        ("both.mark", "sample.heard"),
    }
    assert Counter(map(tuple, found)) == Counter(heard)


def test_an_event_is_fanned_out_once_however_often_it_is_tried(any_database: Database) -> None:
    register(MARKING)
    note("a", "b")

    assert (fan_out_all(), fan_out_all()) == (2, 0)
    assert len(deliveries()) == 2


def test_an_event_that_nobody_hears_is_marked_too(any_database: Database) -> None:
    note("a")

    assert (fan_out_all(), fan_out_all()) == (1, 0)


def test_a_fan_out_that_is_rolled_back_leaves_no_delivery_and_no_mark(
    any_database: Database,
) -> None:
    register(MARKING)
    note("a")
    with any_database.reading() as session:  # what is written through it is rolled back
        assert fan_out(session) == 1

    assert deliveries() == []
    assert fan_out_all() == 1


def test_a_delivery_is_due_when_its_event_is(any_database: Database, time: ManualClock) -> None:
    register(MARKING)
    with transaction() as session:
        publish(session, Noted(), at=time() - timedelta(minutes=5))
    fan_out_all()

    [row] = deliveries()
    assert row.due_at == time() - timedelta(minutes=5)


def test_an_event_that_commits_after_one_of_a_higher_position_is_not_missed(
    any_database: Database,
) -> None:
    register(MARKING)
    if any_database.sqlite:  # one writer at a time: positions commit in order
        note("low")
        note("high")
    else:
        with any_database.transaction() as slow:
            publish(slow, Noted(text="low"))
            note("high")
            assert fan_out_all() == 1
    fan_out_all()

    assert len(deliveries()) == 2


def test_two_relays_share_the_events_and_give_none_two_deliveries(any_database: Database) -> None:
    register(MARKING, OTHER)
    note(*map(str, range(200)))
    shares: list[int] = []
    relays = [threading.Thread(target=lambda: shares.append(fan_out_all())) for _ in range(3)]
    for relay in relays:
        relay.start()
    for relay in relays:
        relay.join()

    assert sum(shares) == 200
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 400


def test_a_relay_passes_over_what_another_one_is_fanning_out(postgres_url: str) -> None:
    database = Database(postgres_url)
    Delivery.metadata.create_all(database.writer)
    try:
        with database.transaction() as session:
            publish(session, *[Noted(text=str(number)) for number in range(10)])
        with database.transaction() as first, database.transaction() as second:
            assert (fan_out(first, limit=6), fan_out(second, limit=100)) == (6, 4)
    finally:
        database.close()


def test_a_message_is_taken_by_one_of_several_relays(any_database: Database) -> None:
    register(MARKING)
    note(*map(str, range(100)))
    fan_out_all()
    taken: list[str] = []

    def take() -> None:
        while messages := send(MARKING):
            taken.extend(str(id) for message in messages for id in message.event_ids)

    relays = [threading.Thread(target=take) for _ in range(3)]
    for relay in relays:
        relay.start()
    for relay in relays:
        relay.join()

    assert len(taken) == len(set(taken)) == 100
