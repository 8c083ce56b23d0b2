"""Messages that RabbitMQ dead-letters come into the ledger as invalid messages."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Connection
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from uuid_utils.compat import uuid7

from events import Database, heartbeat, reading, transaction
from events.messages import Message
from events.relay.loop import Relay
from events.tables import InvalidMessageRow
from events.transport import CeleryTransport, dead_queue, queues
from tests.events.transport.confirmed import confirmed_channel
from tests.servers import erlang, wait_until
from tidings.chaos.rabbitmq import RabbitMQ

pytestmark = pytest.mark.system


@pytest.fixture
def transport(database: Database, rabbitmq_url: str) -> Iterator[CeleryTransport]:
    """A transport on its own virtual host, whose queue `pings` allows two deliveries."""
    [pings] = queues(["pings"], quorum=True)
    pings.queue_arguments = pings.queue_arguments | {"x-delivery-limit": 2}
    app = Celery("dead")
    app.conf.update(broker_url=rabbitmq_url, task_queues=[pings])
    transport = CeleryTransport(app)
    transport.connect()
    yield transport
    transport.close()


def invalid_messages() -> list[InvalidMessageRow]:
    with reading() as session:
        return list(session.scalars(select(InvalidMessageRow).order_by(InvalidMessageRow.id)))


def throw(url: str, *bodies: bytes) -> None:
    """Publish messages to the dead queue itself."""
    with confirmed_channel(url) as confirmed:
        channel, name = confirmed.channel, dead_queue.NAME
        for body in bodies:
            confirmed.publish(channel.basic_publish, channel.prepare_message(body), name, name)


def test_a_message_that_was_delivered_too_often_is_kept_with_its_queue_and_the_reason(
    transport: CeleryTransport, rabbitmq_url: str
) -> None:
    transport.send([Message("m-1", "pings.answer_ping", "pings", (uuid7(),), 0, "ping.pinged P-1")])
    with Connection(rabbitmq_url) as connection:
        channel = connection.default_channel

        def reject() -> bool:
            message = channel.basic_get("pings")
            if message is not None:
                channel.basic_reject(message.delivery_tag, requeue=True)
            return message is None

        wait_until(reject, what="the queue empty")

    relay = Relay(transport, name="relay@test")
    wait_until(lambda: relay._upkeep() or invalid_messages(), what="an invalid message")  # type: ignore[func-returns-value]

    [invalid_message] = invalid_messages()
    assert (invalid_message.queue, invalid_message.reason) == (
        "pings",
        "given up by the broker: delivery_limit",
    )
    assert b"[[[" in invalid_message.body
    assert '"task": "pings.answer_ping"' in invalid_message.headers
    assert transport.drain_dead_queue() == 0


def test_every_message_in_the_dead_queue_is_quarantined(
    transport: CeleryTransport, rabbitmq_url: str
) -> None:
    throw(rabbitmq_url, b"", b"\xff\x00", b"text")

    wait_until(
        lambda: transport.drain_dead_queue() >= 0 and len(invalid_messages()) >= 3,
        what="three invalid messages",
    )

    assert [row.body for row in invalid_messages()] == [
        b"",
        b"\xff\x00",
        b"text",
    ]
    assert {row.queue for row in invalid_messages()} == {dead_queue.NAME}


@pytest.mark.parametrize(
    "delete",
    [
        lambda channel: channel.exchange_delete(dead_queue.NAME),
        lambda channel: channel.queue_unbind(dead_queue.NAME, dead_queue.NAME, dead_queue.NAME),
    ],
    ids=["exchange", "binding"],
)
def test_the_way_to_the_dead_queue_is_made_again_when_it_was_deleted(
    delete: Callable[[Any], None], transport: CeleryTransport, rabbitmq_url: str
) -> None:
    transport.drain_dead_queue()
    with Connection(rabbitmq_url) as connection:
        delete(connection.default_channel)
    transport.drain_dead_queue()
    throw(rabbitmq_url, b"text")

    wait_until(lambda: transport.drain_dead_queue() == 1, what="the message")
    assert [row.body for row in invalid_messages()] == [b"text"]


def test_a_message_that_the_database_does_not_take_stays_until_it_does(
    transport: CeleryTransport, rabbitmq_url: str
) -> None:
    with transaction() as session:
        session.execute(text("ALTER TABLE invalid_messages RENAME TO elsewhere"))
    throw(rabbitmq_url, b"text")

    def refused() -> bool:
        try:
            transport.drain_dead_queue()
        except SQLAlchemyError:
            return True
        return False

    wait_until(refused, what="a database that refuses")
    assert refused()
    with transaction() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO invalid_messages"))

    assert transport.drain_dead_queue() == 1
    assert [row.body for row in invalid_messages()] == [b"text"]


@pytest.mark.parametrize(
    ("policy", "cause"),
    [
        ('{"max-length":1,"overflow":"drop-head"}', "drop-head"),
        ('{"message-ttl":1}', "message-ttl"),
    ],
)
def test_a_queue_that_drops_messages_by_a_policy_is_named(
    policy: str, cause: str, transport: CeleryTransport, rabbitmq_url: str, rabbitmq_node: RabbitMQ
) -> None:
    host = rabbitmq_url.rpartition("/")[2]
    limits = [host, "limits", "^pings$", policy, "0", "queues", "tests"]
    erlang(rabbitmq_node, "rabbit_policy:parse_set", *limits)
    message = Message("m-1", "pings.answer_ping", "pings", (uuid7(),), 0, "ping.pinged P-1")
    transport.send([message] * 3)
    relay = Relay(transport, name="relay@test")

    def troubles() -> dict[str, Any]:
        relay._upkeep()
        with reading() as session:
            return heartbeat.queue_troubles(session)

    wait_until(troubles, what="the queue named")
    assert cause in troubles()["pings"]["reason"]
    assert "list_policies" in troubles()["pings"]["fix"]
