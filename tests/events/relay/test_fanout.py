"""Fan-out: one delivery for each subscriber of each event, created once."""

import threading
from collections import Counter
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events import Database, publish, reading, transaction
from events.admin import subscriptions as admin
from events.messages import Message
from events.relay.fanout import fan_out
from events.relay.round import do_round
from events.relay.window import traffic
from events.tables import Delivery, LogEntry
from events.testing import ManualClock
from tests.events.sample import Noted, Replied, deliveries, new_subscription, note, send

MARKING = new_subscription()
OTHER = new_subscription(name="others.mark")
BOTH = new_subscription(lambda event, session: None, Noted, Replied, name="both.mark")


def register(*subscriptions: object) -> None:
    with transaction() as session:
        admin.register(session, subscriptions)  # type: ignore[arg-type]


def fan_out_some(session: Session, limit: int) -> tuple[int, list[Message]]:
    return fan_out(session, traffic(session.connection(), Counter()), limit=limit)


def fan_out_all() -> int:
    total = 0
    while True:
        with transaction() as session:
            found, _ = fan_out_some(session, 7)
        if not found:
            return total
        total += found


def test_each_subscriber_of_an_event_gets_one_delivery(
    any_database: Database,
) -> None:
    register(MARKING, OTHER, BOTH)
    with transaction() as session:
        publish(session, Noted(text="a"), Replied(text="b"), subject="N-1")

    assert fan_out_all() == 2
    with reading() as session:
        found = session.execute(
            select(Delivery.subscription, LogEntry.type).join(
                LogEntry, LogEntry.id == Delivery.event_id
            )
        ).all()
    expected = {
        ("notes.mark", "sample.noted"),
        ("others.mark", "sample.noted"),
        ("both.mark", "sample.noted"),
        ("both.mark", "sample.replied"),
    }
    assert Counter(map(tuple, found)) == Counter(expected)


def test_an_event_is_fanned_out_once(any_database: Database) -> None:
    register(MARKING)
    note("a", "b")

    assert (fan_out_all(), fan_out_all()) == (2, 0)
    assert len(deliveries()) == 2


def test_an_event_without_subscribers_is_marked_as_relayed_too(any_database: Database) -> None:
    note("a")

    assert (fan_out_all(), fan_out_all()) == (1, 0)


def test_a_fan_out_that_is_rolled_back_leaves_no_delivery_and_no_mark(
    any_database: Database,
) -> None:
    register(MARKING)
    note("a")
    with any_database.transaction() as session:
        events, messages = fan_out_some(session, 7)
        assert (events, len(messages)) == (1, 1)
        session.rollback()

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


def test_several_relays_share_the_events_and_create_each_delivery_once(
    any_database: Database,
) -> None:
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


def test_a_relay_skips_the_events_that_another_one_is_fanning_out(
    postgres_database: Database,
) -> None:
    note(*map(str, range(10)))

    with transaction() as first, transaction() as second:
        shares = [fan_out_some(first, 6)[0], fan_out_some(second, 100)[0]]
    assert shares == [6, 4]


def test_each_delivery_is_marked_by_one_of_several_relays(any_database: Database) -> None:
    register(MARKING)
    note(*map(str, range(100)))
    with transaction() as session:
        do_round(session, Counter(), can_send=False)
    marked: list[UUID] = []

    def mark_all() -> None:
        while messages := send(MARKING, slots=50):
            marked.extend(each for message in messages for each in message.event_ids)

    relays = [threading.Thread(target=mark_all) for _ in range(3)]
    for relay in relays:
        relay.start()
    for relay in relays:
        relay.join()

    assert len(marked) == len(set(marked)) == 100
