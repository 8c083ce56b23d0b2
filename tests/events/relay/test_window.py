"""The window: a subscription has a few messages in flight, and its backlog waits in the ledger."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Database, Retry, heartbeat, reading, suspects, transaction
from events.admin import subscriptions as admin
from events.dispatch import dispatch
from events.ledger import IS_IN_FLIGHT
from events.messages import Message
from events.relay.fanout import FAN_OUT_BATCH
from events.relay.loop import Relay
from events.relay.window import MESSAGE_SIZE
from events.settings import settings
from events.slots import MESSAGES, MESSAGES_PER_SLOT
from events.subscriptions import Subscription
from events.tables import Delivery
from events.testing import InMemoryTransport, ManualClock
from tests.events.sample import Noted, deliveries, mark, marks, new_subscription, note
from tests.servers import HANG, wait_until

ONE = new_subscription(batch=50)
LARGE = new_subscription(batch=150)
WINDOW = MESSAGES * MESSAGE_SIZE  # deliveries in flight at most
SAME_QUEUE = new_subscription(name="notes.copy")
OTHER = new_subscription(name="others.mark")


@pytest.fixture
def broker() -> InMemoryTransport:
    """A broker in memory."""
    return InMemoryTransport()


@pytest.fixture(name="clock")
def _clock(time: ManualClock) -> ManualClock:
    return time


def register(*subscriptions: Subscription) -> None:
    """Register these subscriptions."""
    with transaction() as session:
        admin.register(session, subscriptions)


def publish(count: int) -> list[UUID]:
    """Publish so many notes."""
    return note(*map(str, range(count)))


def work(relay: Relay) -> None:
    """Let the relay do all that it can do now."""
    relay._upkeep_at = 0.0
    while relay.work() == 0.0:
        pass


def in_flight() -> Counter[str]:
    """Count the messages in flight of each subscription, by the ledger."""
    with reading() as session:
        found = select(Delivery.subscription, Delivery.message).where(IS_IN_FLIGHT).distinct()
        return Counter(name for name, _ in session.execute(found))


def handle(message: Message, *subscriptions: Subscription) -> None:
    """Handle a message as a worker does."""
    by_name = {each.name: each for each in subscriptions or (ONE,)}
    dispatch(by_name[message.subscription], message.event_ids, worker="w")


@pytest.mark.parametrize("slots", [1, 3])
def test_the_window_is_never_exceeded_and_each_settled_message_opens_it_for_the_next(
    slots: int, any_database: Database, broker: InMemoryTransport
) -> None:
    register(ONE)
    heartbeat.beat("w", "worker", ["notes"], slots=slots)
    publish(500)
    relay, window = Relay(broker), MESSAGES_PER_SLOT * slots
    work(relay)
    while broker.ready:
        assert len(broker.ready) == in_flight()["notes.mark"] <= window
        unsent = sum(row.sent_at is None for row in deliveries())
        assert len(broker.ready) == window or unsent == 0
        handle(broker.ready.pop(0))
        work(relay)

    assert marks() == Counter(map(str, range(500)))
    assert {row.sends for row in deliveries()} == {1}


@pytest.mark.parametrize(("subscription", "size"), [(ONE, MESSAGE_SIZE), (LARGE, 150)])
def test_a_backlog_leaves_in_messages_of_the_size_of_a_batch(
    subscription: Subscription, size: int, any_database: Database, broker: InMemoryTransport
) -> None:
    register(subscription)
    publish(500)
    relay = Relay(broker)
    work(relay)
    while broker.ready:
        handle(broker.ready.pop(0), subscription)
        work(relay)

    sizes = [len(message.event_ids) for message in broker.sent]
    # The first ones are those of a fan-out, which does not wait for more to come.
    first, others = sizes[:MESSAGES], sizes[MESSAGES:]
    assert sum(first) == min(FAN_OUT_BATCH, MESSAGES * size)
    assert set(others[:-1]) == {size}
    assert (sum(sizes), others[-1] <= size) == (500, True)


def test_a_single_delivery_goes_at_once(any_database: Database, broker: InMemoryTransport) -> None:
    register(ONE)
    relay = Relay(broker)
    work(relay)
    for text in "ab":
        note(text)
        relay.work()
        assert [len(message.event_ids) for message in broker.receive()] == [1]


def test_the_messages_of_a_backlog_are_shared_out_among_the_slots(
    any_database: Database, broker: InMemoryTransport
) -> None:
    register(ONE)
    heartbeat.beat("w", "worker", ["notes"], slots=4)
    publish(20)
    work(Relay(broker))

    assert [len(message.event_ids) for message in broker.sent] == [5, 5, 5, 5]


def test_a_full_window_holds_up_no_other_subscription_and_no_other_queue(
    any_database: Database, broker: InMemoryTransport
) -> None:
    register(ONE)
    publish(500)
    relay = Relay(broker)
    work(relay)
    register(ONE, SAME_QUEUE, OTHER)
    note("later")
    work(relay)

    assert in_flight() == {"notes.mark": MESSAGES, "notes.copy": 1, "others.mark": 1}


def test_the_messages_of_a_dead_worker_are_lost_and_then_open_the_window(
    any_database: Database, clock: ManualClock, broker: InMemoryTransport
) -> None:
    register(ONE)
    publish(WINDOW + 50)
    relay = Relay(broker)
    work(relay)
    broker.receive()  # by a worker that dies, or by someone who empties the broker
    work(relay)
    assert broker.ready == []
    for _ in range(int(settings().lease / 5) + 4):
        clock.advance(5)
        work(relay)
        while broker.ready:
            handle(broker.ready.pop(0))
            work(relay)

    assert marks() == Counter(map(str, range(WINDOW + 50)))
    assert Counter(row.sends for row in deliveries()) == {1: 50, 2: WINDOW}


def test_a_reported_crash_opens_the_window_at_once(
    any_database: Database, clock: ManualClock, broker: InMemoryTransport
) -> None:
    register(ONE)
    publish(WINDOW + MESSAGE_SIZE)
    relay = Relay(broker)
    work(relay)
    message, _ = broker.receive()
    clock.advance(1)
    with transaction() as session:
        suspects.report_crash(session, ONE.name, message.event_ids, worker="w", why="it died")
    work(relay)

    [follower] = broker.ready
    assert not {*follower.event_ids} & {*message.event_ids}
    assert len(follower.event_ids) == MESSAGE_SIZE


def test_a_pause_keeps_the_backlog_in_the_ledger_and_its_end_sends_it(
    any_database: Database, broker: InMemoryTransport
) -> None:
    register(ONE)
    with transaction() as session:
        admin.pause(session, ONE.name, who="ada", why="test")
    publish(300)
    relay = Relay(broker)
    work(relay)
    assert (len(deliveries()), broker.sent) == (300, [])
    with transaction() as session:
        admin.resume(session, ONE.name, who="ada", why="test")
    work(relay)
    while broker.ready:
        handle(broker.ready.pop(0))
        work(relay)

    assert marks().total() == 300


def test_a_pause_amid_a_backlog_gives_back_what_is_in_flight(
    any_database: Database, broker: InMemoryTransport
) -> None:
    register(ONE)
    publish(300)
    relay = Relay(broker)
    work(relay)
    with transaction() as session:
        admin.pause(session, ONE.name, who="ada", why="test")
    for message in broker.receive():
        handle(message)
    work(relay)

    assert (broker.ready, marks()) == ([], {})
    assert {(row.state, row.sent_at, row.attempts) for row in deliveries()} == {
        ("pending", None, 0)
    }


def lost_for_some(event: Noted, key: str) -> str:
    """Fail for the first note of each batch."""
    if int(event.text) % 50 == 0:
        raise ConnectionError("lost")
    return key


def record(event: Noted, session: Session, answer: str) -> None:
    """Record the answer, so slowly that the relay has looked at a failure before the batch ends."""
    time.sleep(0.002)
    mark(event, session)


@pytest.fixture
def running(broker: InMemoryTransport) -> Iterator[Callable[[], None]]:
    """A function that starts a relay, which runs until the end of the test."""
    stop, threads = threading.Event(), []

    def start() -> None:
        threads.append(threading.Thread(target=Relay(broker).run, args=(stop,)))
        threads[-1].start()

    yield start
    stop.set()
    for thread in threads:
        thread.join(HANG)


@pytest.mark.parametrize(
    "subscription",
    [ONE, new_subscription(record, call=lost_for_some, retry=Retry(attempts=1), batch=50)],
    ids=["each succeeds", "the first call fails"],
)
def test_the_end_of_a_message_wakes_the_relay_for_the_backlog(
    subscription: Subscription,
    any_database: Database,
    broker: InMemoryTransport,
    running: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without a wake-up the relay would look again only then, once for each full window.
    monkeypatch.setattr(heartbeat, "INTERVAL", HANG)
    register(subscription)
    count = 5 * WINDOW
    publish(count)
    running()

    def settled() -> bool:
        while broker.ready:
            handle(broker.ready.pop(0), subscription)
        return sum(row.state in ("done", "dead") for row in deliveries()) == count

    wait_until(settled, what="every delivery settled")
    assert marks().total() == (count if subscription is ONE else count - count // 50)
