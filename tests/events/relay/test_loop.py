"""The loop of the relay, in this process, with a broker in memory."""

import threading
from datetime import timedelta
from time import monotonic

import pytest
from sqlalchemy import func, select, text

from events import Database, heartbeat, reading, transaction
from events.dispatch import dispatch
from events.relay.loop import Relay
from events.tables import Delivery, Heartbeat
from events.testing import InMemoryTransport
from tests.events.sample import deliveries, delivery, marks, new_subscription, note, send
from tests.servers import HANG, wait_until

ONE = new_subscription()
OTHER = new_subscription(name="others.mark")


@pytest.fixture
def broker() -> InMemoryTransport:
    """A broker in memory."""
    return InMemoryTransport()


def work(relay: Relay, rounds: int = 5) -> None:
    """Run some rounds of the relay, each without a delay before the next contact to the broker."""
    for _ in range(rounds):
        relay._retry_broker_at = 0.0
        relay._queues._attempt_at.clear()
        relay.work()


def postpone_duties(relay: Relay) -> None:
    """Leave it nothing but events and deliveries to wait for, however slow this machine is."""
    relay._upkeep_at = relay._replays_at = monotonic() + 3600


def beat_of(name: str) -> Heartbeat:
    with reading() as session:
        [row] = [row for row in heartbeat.alive(session) if row.name == name]
    return row


def test_an_event_becomes_one_message_per_subscription(
    any_database: Database, broker: InMemoryTransport
) -> None:
    send(ONE, OTHER)
    note("a")
    work(Relay(broker))

    assert sorted(message.subscription for message in broker.sent) == ["notes.mark", "others.mark"]


def test_the_relay_waits_when_idle_and_not_while_events_remain(
    any_database: Database, broker: InMemoryTransport
) -> None:
    send(ONE)
    relay = Relay(broker)
    work(relay)
    postpone_duties(relay)
    assert relay.work() > 60
    note("a")
    assert relay.work() == 0.0


def test_the_relay_waits_until_the_next_retry_is_due(
    any_database: Database, broker: InMemoryTransport
) -> None:
    send(ONE)
    relay = Relay(broker)
    note("a")
    work(relay)
    with transaction() as session:
        session.execute(text("UPDATE deliveries SET sent_at = NULL"))
        row = session.get_one(Delivery, (delivery().event_id, ONE.name))
        row.due_at += timedelta(seconds=600)
    postpone_duties(relay)

    assert 60 < relay.work() <= 600


def test_continuous_publishing_does_not_keep_the_relay_from_sending(
    any_database: Database, broker: InMemoryTransport
) -> None:
    # Fan-out once went on while events remained: no message was sent until the publishers paused.
    send(ONE)
    stop = threading.Event()

    def publish() -> None:
        while not stop.is_set():
            note("more")

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        relay = Relay(broker)
        wait_until(lambda: work(relay, 1) or broker.sent, what="a message")  # type: ignore[func-returns-value]
    finally:
        stop.set()
        publisher.join(HANG)


def test_deliveries_wait_while_the_broker_is_down_and_are_sent_when_it_is_back(
    any_database: Database, broker: InMemoryTransport
) -> None:
    send(ONE)
    note("a", "b")
    broker.down = True
    relay = Relay(broker, name="relay@test")
    work(relay)

    assert broker.sent == []
    assert {(row.state, row.sent_at, row.attempts) for row in deliveries()} == {
        ("pending", None, 0)
    }
    assert beat_of("relay@test").trouble == "the test has switched it off"
    broker.down = False
    work(relay)

    assert [len(message.event_ids) for message in broker.sent] == [2]
    assert beat_of("relay@test").trouble is None


def test_one_refusing_queue_does_not_delay_the_others(
    any_database: Database, broker: InMemoryTransport
) -> None:
    send(ONE, OTHER)
    broker.full_queues = {"notes"}
    relay = Relay(broker, name="relay@test")
    note("a", "b")
    work(relay)

    assert [message.subscription for message in broker.sent] == ["others.mark"]
    assert {row.sent_at for row in deliveries()} == {None}
    beat = beat_of("relay@test")
    assert (beat.trouble, beat.queue_troubles) == (
        None,
        {"notes": {"reason": "is full", "fix": "empty it"}},
    )
    broker.full_queues = set()
    work(relay)
    assert beat_of("relay@test").queue_troubles == {}
    assert [message.subscription for message in broker.sent] == ["others.mark", "notes.mark"]


def test_a_broker_that_is_down_is_contacted_less_and_less_often(
    database: Database, broker: InMemoryTransport
) -> None:
    send(ONE)
    note("a")
    broker.down = True
    relay = Relay(broker)
    waits = []
    for _ in range(7):
        work(relay, rounds=1)
        waits.append(relay._retry_delay)

    assert waits == sorted(waits)
    assert (waits[0] <= 0.5, waits[-1]) == (True, 5.0)


def test_the_relay_survives_a_database_that_goes_away(
    any_database: Database, broker: InMemoryTransport
) -> None:
    send(ONE)
    stop = threading.Event()
    relay = threading.Thread(target=Relay(broker).run, args=(stop,))
    relay.start()
    try:
        note("a")
        wait_until(lambda: len(broker.sent) == 1, what="the first message")
        with transaction() as session:
            session.execute(text("ALTER TABLE deliveries RENAME TO gone"))
        note("b")
        assert not stop.wait(0.5)
        with transaction() as session:
            session.execute(text("ALTER TABLE gone RENAME TO deliveries"))
        wait_until(lambda: len(broker.sent) == 2, what="the second message")
    finally:
        stop.set()
        relay.join(HANG)
    assert not relay.is_alive()


def test_the_relay_has_a_heartbeat_until_it_stops(
    database: Database, broker: InMemoryTransport
) -> None:
    stop = threading.Event()
    relay = threading.Thread(target=Relay(broker, name="relay@test").run, args=(stop,))
    relay.start()
    wait_until(lambda: _names() == ["relay@test"], what="the relay's heartbeat")
    stop.set()
    relay.join(HANG)

    assert _names() == []


def _names() -> list[str]:
    with reading() as session:
        return [row.name for row in heartbeat.alive(session)]


def test_several_relays_send_each_delivery_once(postgres_database: Database) -> None:
    brokers, stop = [InMemoryTransport() for _ in range(3)], threading.Event()
    relays = [
        threading.Thread(target=Relay(each, name=f"relay-{number}").run, args=(stop,))
        for number, each in enumerate(brokers)
    ]
    try:
        send(ONE)
        for relay in relays:
            relay.start()
        for number in range(40):
            note(*(f"{number}-{each}" for each in range(5)))
        wait_until(lambda: handle_all(brokers) or marks().total() >= 200, what="200 marks")  # type: ignore[func-returns-value]
    finally:
        stop.set()
        for relay in relays:
            relay.join(HANG)

    sent = [each for broker in brokers for message in broker.sent for each in message.event_ids]
    with reading() as session:
        again = session.scalar(select(func.sum(Delivery.sends - 1)))  # those released as slow
    assert (len(sent) - again, len(set(sent))) == (200, 200)


def handle_all(brokers: list[InMemoryTransport]) -> None:
    """Handle every message, so that the window opens for the next ones."""
    for broker in brokers:
        while broker.ready:
            message = broker.ready.pop(0)
            dispatch(ONE, message.event_ids, worker="w")
