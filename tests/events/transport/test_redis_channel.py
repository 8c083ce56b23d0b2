"""The Redis channel while Valkey does not answer."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection, Consumer, Message, Producer, Queue

from events.transport.redis_channel import Transport
from tests.servers import HANG, Valkey, wait_until

OPTIONS = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5, "retry_on_timeout": False}


@pytest.fixture
def connection(valkey: Valkey) -> Iterator[Connection]:
    with Connection(valkey.url, transport=Transport, transport_options=OPTIONS) as found:
        yield found


@pytest.mark.parametrize(
    "settle",
    [Message.ack, Message.reject, lambda message: message.reject(requeue=True)],
    ids=["ack", "reject", "requeue"],
)
def test_a_consumer_of_one_message_goes_on_after_redis_hung_while_it_settled_one(
    valkey: Valkey, connection: Connection, settle: Callable[[Any], None]
) -> None:
    queue = Queue("notes", routing_key="notes")
    received: list[Message] = []
    channel = connection.channel()
    Producer(channel).publish("one", routing_key="notes", declare=[queue])
    Producer(channel).publish("two", routing_key="notes")
    with Consumer(channel, [queue], on_message=received.append, prefetch_count=1, accept=["json"]):
        connection.drain_events(timeout=HANG)
        valkey.freeze()
        try:
            with pytest.raises(connection.connection_errors):
                settle(received[0])
        finally:
            valkey.thaw()
        wait_until(lambda: _drain(connection) or len(received) > 1, what="another message")


def _drain(connection: Connection) -> None:
    try:
        connection.drain_events(timeout=1)
    except connection.connection_errors:
        return
