"""RabbitMQ's confirms and refusals, from real nodes."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
from celery import Celery
from kombu import Connection, Exchange, Producer, Queue

from events import Database, heartbeat, reading, transaction, transport
from events.admin import subscriptions as admin
from events.errors import BrokerDown
from events.messages import Message
from events.relay.fanout import FAN_OUT_BATCH
from events.relay.loop import Relay
from events.relay.round import do_round
from events.relay.sending import SEND_BATCH
from events.transport import CeleryTransport
from events.transport.confirms import Confirms
from events.transport.consumer import MAX_BODY
from events.transport.protocol import encode, validate
from tests.events.relay.test_loop import work
from tests.events.sample import deliveries, new_subscription, note, send
from tests.living import living
from tests.servers import evaluate, wait_until
from tidings.chaos.rabbitmq import RabbitMQ

QUORUM = {"x-queue-type": "quorum"}


def message(queue: str = "notes") -> Message:
    return Message(f"m-{uuid.uuid4()}", f"{queue}.mark", queue, (uuid.uuid4(),), 0, "sample.noted")


def takes(celery_transport: CeleryTransport) -> bool:
    """Try to send a message: for a while after its node's start a queue has no leader."""
    try:
        return not celery_transport.send([message()])
    except BrokerDown:
        return False


@pytest.fixture
def connection(rabbitmq_url: str) -> Iterator[Connection]:
    """A connection to an empty virtual host."""
    with Connection(rabbitmq_url) as connection:
        yield connection


@pytest.fixture
def celery_transport(rabbitmq_url: str) -> Iterator[CeleryTransport]:
    """The real transport."""
    app = Celery("confirms", broker=rabbitmq_url, set_as_current=False)
    app.conf.task_queues = transport.queues(["notes"], quorum=True)
    found = CeleryTransport(app)
    yield found
    found.close()


def test_a_message_that_no_queue_gets_is_refused(connection: Connection) -> None:
    channel = connection.channel()
    confirms, producer = Confirms(channel), Producer(channel)
    Exchange("bound_to_nothing", type="direct")(channel).declare()

    producer.publish(
        b"{}",
        exchange="bound_to_nothing",
        routing_key="x",
        mandatory=True,
        content_type="application/json",
    )
    confirms.expect("x")

    assert {queue: error.reason for queue, error in confirms.wait(10).items()} == {
        "x": "was deleted"
    }


def test_a_full_queue_refuses_and_is_believed(connection: Connection) -> None:
    channel = connection.channel()
    confirms, producer = Confirms(channel), Producer(channel)
    full = QUORUM | {"x-max-length": 1, "x-overflow": "reject-publish"}
    Queue("small", Exchange("small", type="direct"), routing_key="small", queue_arguments=full)(
        channel
    ).declare()

    def fill() -> list[str]:
        for _ in range(50):  # a full queue may still take a few
            producer.publish(
                b"{}",
                exchange="small",
                routing_key="small",
                mandatory=True,
                content_type="application/json",
            )
            confirms.expect("small")
            if refused := confirms.wait(10):
                return [f"{queue}: {error.reason}" for queue, error in refused.items()]
        return []

    assert fill() == ["small: is full or has no leader: it refused a message"]


def test_a_thousand_messages_are_confirmed_and_waited_for_once(
    celery_transport: CeleryTransport,
) -> None:
    celery_transport.send([message() for _ in range(1000)])
    celery_transport.send([message()])

    assert celery_transport.waiting("notes") == 1001


def test_a_broker_that_does_not_answer_is_down(
    celery_transport: CeleryTransport, rabbitmq_node: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.transport.confirms.CONFIRM_TIMEOUT", 0.5)
    celery_transport.send([message()])
    rabbitmq_node.freeze()
    try:
        with pytest.raises(BrokerDown):
            celery_transport.send([message()])
    finally:
        rabbitmq_node.thaw()


def test_a_killed_node_is_down_and_when_it_is_back_what_it_confirmed_is_there(
    celery_transport: CeleryTransport, rabbitmq_node: RabbitMQ, rabbitmq_url: str
) -> None:
    celery_transport.send([message() for _ in range(20)])
    host = rabbitmq_url.rpartition("/")[2]
    wait_until(lambda: rabbitmq_node.has_stored_queues(host), what="the queue in the node's files")
    rabbitmq_node.kill()
    try:
        for _ in range(2):
            with pytest.raises(BrokerDown):
                celery_transport.send([message()])
    finally:
        rabbitmq_node.start()

    wait_until(lambda: takes(celery_transport), what="a queue with a leader")
    assert celery_transport.waiting("notes") >= 21


def test_a_message_too_large_for_the_broker_waits_and_holds_up_no_other(
    celery_transport: CeleryTransport, rabbitmq_node: RabbitMQ, database: Database
) -> None:
    relay = Relay(celery_transport, name="relay@test")
    send(new_subscription(batch=100), new_subscription(name="others.mark"))
    evaluate(rabbitmq_node, "application:set_env(rabbit, max_message_size, 1500).")
    try:
        with living("w", "worker", "others", slots=100):  # each gets its share: small messages
            note(*map(str, range(100)))
            work(relay, rounds=3)
        large, small = deliveries(), deliveries("others.mark")
        with reading() as session:
            troubles = heartbeat.queue_troubles(session)
    finally:
        evaluate(rabbitmq_node, "application:set_env(rabbit, max_message_size, 134217728).")

    assert {row.sent_at for row in large} == {None}
    assert all(row.sent_at for row in small)
    assert troubles.keys() == {"notes"}
    assert "larger than configured max size 1500" in troubles["notes"]["reason"]
    wait_until(
        lambda: work(relay, rounds=1) or all(row.sent_at for row in deliveries()),
        what="the large one to be sent",
    )
    assert celery_transport.waiting("notes") == 1


def test_the_largest_task_message_is_one_that_every_worker_takes(database: Database) -> None:
    subscription = new_subscription(name=f"notes.{'x' * 150}", batch=1_000_000)
    note(*map(str, range(2 * SEND_BATCH)), subject="S" * 200)
    with transaction() as session:
        admin.register(session, [subscription])
    for _ in range(2 * SEND_BATCH // FAN_OUT_BATCH):
        with transaction() as session:
            do_round(session, Counter(), can_send=False)
    largest = max(send(subscription), key=lambda message: len(message.event_ids))

    body, headers = encode(largest, origin="relay@here")

    assert len(largest.event_ids) == SEND_BATCH
    assert len(body) < MAX_BODY / 10
    validate(headers, json.loads(body))
