"""One queue is not the broker: each fault of a queue of RabbitMQ on each duty of the relay."""

import time as system_time
from collections.abc import Callable, Iterator
from statistics import median

import pytest
from celery import Celery
from kombu import Queue
from sqlalchemy import select

from events import Database, heartbeat, reading, transport
from events.relay.loop import Relay
from events.settings import settings
from events.tables import Heartbeat, InvalidMessageRow
from events.testing import ManualClock
from events.transport import CeleryTransport, dead_queue
from events.transport.confirms import CONFIRM_TIMEOUT
from tests.events.relay.test_loop import work
from tests.events.sample import deliveries, new_subscription, note, send
from tests.events.transport.confirmed import confirmed_channel
from tests.events.transport.queue_faults import (
    Broker,
    declared_elsewhere,
    full,
    in_alarm,
    without_leader,
)
from tests.living import living
from tests.servers import wait_until
from tidings.chaos.rabbitmq import RabbitMQ

pytestmark = pytest.mark.system

NOTES, OTHERS = new_subscription(), new_subscription(name="others.mark")


FAULTS = {
    full: "is full",
    declared_elsewhere: "has other arguments than expected: inequivalent arg 'x-",
    without_leader: "is full or has no leader",
}
QUICK, *others = FAULTS
SLOW = [pytest.param(each, marks=pytest.mark.slow) for each in others]
of_one_queue = pytest.mark.parametrize("fault", [QUICK, *SLOW])


@pytest.fixture
def broker(rabbitmq_node: RabbitMQ, rabbitmq_url: str) -> Iterator[Broker]:
    """A broker whose queue `others` is well."""
    broker = Broker(rabbitmq_node, rabbitmq_url)
    broker.declare("others")
    yield broker
    broker.mend()


@pytest.fixture
def relay(database: Database, broker: Broker) -> Iterator[Relay]:
    """A relay on RabbitMQ for the subscriptions of two queues."""
    app = Celery("one-queue", broker=broker.url, set_as_current=False)
    app.conf.task_queues = transport.queues(["notes", "others"], quorum=True)
    send(NOTES, OTHERS)
    celery_transport = CeleryTransport(app)
    with living("w", "worker", "others", slots=100):  # a window that no test fills
        yield Relay(celery_transport, name="relay@test")
    celery_transport.close()


def upkeep(relay: Relay, rounds: int = 1) -> None:
    """Do the duties of every few seconds, and a round."""
    for _ in range(rounds):
        relay._upkeep_at = 0.0
        work(relay, rounds=1)


def beat() -> Heartbeat:
    with reading() as session:
        [row] = heartbeat.live_relays(session)
    return row


def are_sent(name: str) -> bool:
    return all(row.sent_at for row in deliveries(name))


@of_one_queue
def test_orders_that_do_not_touch_an_unavailable_queue_are_not_slowed(
    fault: Callable[[Broker], None], relay: Relay, broker: Broker
) -> None:
    fault(broker)
    note("first")
    work(relay, rounds=3)  # until now the fault was unknown
    took = []
    for number in range(10):
        begun = system_time.monotonic()
        note(str(number))
        relay.work()
        relay.work()
        took.append(system_time.monotonic() - begun)

    assert are_sent("others.mark")
    assert {row.sent_at for row in deliveries()} == {None}
    assert median(took) < CONFIRM_TIMEOUT


@of_one_queue
def test_an_unavailable_queue_is_named_with_the_fix_and_neither_broker_nor_relay_is_blamed(
    fault: Callable[[Broker], None], relay: Relay, broker: Broker
) -> None:
    fault(broker)
    note("a")
    work(relay, rounds=2)

    trouble = beat().queue_troubles["notes"]
    assert FAULTS[fault] in trouble["reason"]
    assert "notes" in trouble["fix"] or "policy" in trouble["fix"]
    assert (beat().trouble, beat().blocked) == (None, False)


@of_one_queue
def test_what_an_unavailable_queue_did_not_take_is_sent_when_it_is_mended(
    fault: Callable[[Broker], None], relay: Relay, broker: Broker
) -> None:
    fault(broker)
    note("a", "b")
    work(relay, rounds=3)
    broker.mend()

    wait_until(lambda: work(relay, rounds=1) or are_sent("notes.mark"), what="all sent")
    upkeep(relay)
    assert beat().queue_troubles == {}


@of_one_queue
def test_a_loss_on_another_queue_is_mended_within_the_lease(
    fault: Callable[[Broker], None], relay: Relay, broker: Broker, time: ManualClock
) -> None:
    fault(broker)
    note("a")
    work(relay, rounds=3)
    broker.ask(lambda channel: channel.queue_purge("others"))
    time.advance(5.0)
    upkeep(relay)
    assert broker.waiting("others") == 0
    time.advance(settings().lease)
    upkeep(relay, rounds=2)

    assert [row.sends for row in deliveries("others.mark")] == [2]
    wait_until(lambda: broker.waiting("others") == 1, what="the message")


@pytest.mark.parametrize("fault", [QUICK, *SLOW, in_alarm])
def test_the_dead_queue_is_drained_whatever_another_queue_refuses(
    fault: Callable[[Broker], None], relay: Relay, broker: Broker
) -> None:
    upkeep(relay)
    with confirmed_channel(broker.url) as confirmed:
        channel, name = confirmed.channel, dead_queue.NAME
        confirmed.publish(channel.basic_publish, channel.prepare_message(b"text"), name, name)
    fault(broker)
    note("a")

    def is_stored() -> bool:
        upkeep(relay)
        with reading() as session:
            return bool(session.scalars(select(InvalidMessageRow)).all())

    wait_until(is_stored, what="the invalid message")


def test_an_alarm_is_told_at_once_and_everything_but_sending_goes_on(
    relay: Relay, broker: Broker, time: ManualClock
) -> None:
    note("a")
    work(relay, rounds=3)
    in_alarm(broker)
    begun = system_time.monotonic()
    for number in range(5):
        note(str(number))
        work(relay, rounds=1)
    took = system_time.monotonic() - begun
    broker.ask(lambda channel: channel.queue_purge("others"))
    time.advance(5.0)
    upkeep(relay)
    time.advance(settings().lease)
    upkeep(relay)

    assert took < 3 * CONFIRM_TIMEOUT  # of five rounds
    assert beat().blocked
    assert "rabbitmq-diagnostics alarms" in (beat().trouble or "")
    assert [row.lost_count for row in deliveries("others.mark")][:1] == [1]
    broker.mend()
    time.advance(5.0)
    wait_until(
        lambda: work(relay, rounds=1) or (are_sent("others.mark") and are_sent("notes.mark")),
        what="all sent",
    )
    assert (beat().trouble, beat().blocked) == (None, False)


def test_a_queue_that_was_deleted_is_declared_again(relay: Relay, broker: Broker) -> None:
    note("a")
    work(relay, rounds=3)
    broker.ask(lambda channel: channel.queue_delete("notes"))
    note("b")
    wait_until(lambda: work(relay, rounds=1) or are_sent("notes.mark"), what="all sent")
    upkeep(relay)

    assert broker.waiting("notes") == 1
    assert (beat().trouble, beat().queue_troubles) == (None, {})


def test_a_queue_that_is_declared_anew_elsewhere_is_named_though_nothing_is_to_be_sent(
    relay: Relay, broker: Broker
) -> None:
    note("a")
    work(relay, rounds=3)
    broker.ask(lambda channel: channel.queue_delete("notes"))
    declared_elsewhere(broker)
    upkeep(relay, rounds=2)
    found = beat().queue_troubles
    broker.mend()

    assert "inequivalent arg 'x-" in found["notes"]["reason"]
    # A new queue may have no leader for a moment.
    wait_until(lambda: upkeep(relay) or beat().queue_troubles == {}, what="no trouble")


def test_messages_that_wait_in_a_queue_without_leader_are_not_lost(
    relay: Relay, broker: Broker, time: ManualClock
) -> None:
    broker.declare("notes")
    note("a")
    work(relay, rounds=3)
    without_leader(broker)
    for _ in range(3):
        time.advance(settings().lease)
        upkeep(relay)

    assert [row.lost_count for row in deliveries()] == [0]
    assert "no leader" in beat().queue_troubles["notes"]["reason"]


def test_a_dead_queue_that_was_declared_elsewhere_holds_up_nothing_and_is_named(
    relay: Relay, broker: Broker
) -> None:
    broker.ask(lambda channel: Queue(dead_queue.NAME, durable=True)(channel).declare())
    note("a")
    upkeep(relay, rounds=2)

    assert are_sent("others.mark")
    assert are_sent("notes.mark")
    assert "inequivalent arg 'x-" in beat().queue_troubles[dead_queue.NAME]["reason"]
    assert beat().trouble is None
