"""The Redis channel: while Valkey does not answer, and while it has no messages."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Consumer, Message, Producer, Queue
from redis.exceptions import RedisError

from events.errors import BrokerDown, BrokerRefuses
from events.transport import redis_channel
from events.transport.queue_errors import broker_error
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


def test_a_consumer_that_waits_for_an_hour_hears_a_new_queue_at_once_and_closes_at_once(
    valkey: Valkey, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_channel, "WAIT", 3600)
    early, late = (Queue(name, routing_key=name) for name in ("early", "late"))
    received: list[str] = []
    channel: Any = connection.channel()
    consumer = Consumer(channel, [early], callbacks=[lambda body, _: received.append(body)])
    with valkey.client() as client, consumer:
        _drain(connection, seconds=0.01)
        wait_until(lambda: _waiting(client) == 1, what="a wait for messages")
        consumer.add_queue(late)
        consumer.consume()
        Producer(connection.default_channel).publish("hello", routing_key="late", declare=[late])
        wait_until(lambda: _drain(connection) or received, what="a message of the new queue")
        _drain(connection, seconds=0.01)
        wait_until(lambda: _waiting(client) == 1, what="another wait")
        channel.close()
        wait_until(lambda: _waiting(client) == 0, what="the end of the wait")


def test_a_consumer_that_may_not_end_a_wait_waits_shortly(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_channel, "WAIT", 3600)
    with valkey.client() as client:
        client.acl_setuser(
            "guest",
            enabled=True,
            nopass=True,
            keys=["*"],
            channels=["*"],
            categories=["+@all"],
            commands=["-client|unblock"],
        )
        url = valkey.url.replace("//", "//guest:any@")
        with (
            Connection(url, transport=Transport, transport_options=OPTIONS) as connection,
            Consumer(connection, [Queue("quiet", routing_key="quiet")]),
        ):
            _drain(connection, seconds=0.01)
            wait_until(lambda: _waiting(client) == 1, what="a wait for messages")
            wait_until(lambda: _waiting(client) == 0, what="its end after a second")
        client.acl_deluser("guest")


def test_a_message_that_nobody_acknowledged_in_time_is_given_out_again(valkey: Valkey) -> None:
    options = OPTIONS | {"visibility_timeout": 0}
    received: list[Message] = []
    with Connection(valkey.url, transport=Transport, transport_options=options) as connection:
        queue = Queue("late", routing_key="late")
        channel: Any = connection.channel()
        Producer(channel).publish("one", routing_key="late", declare=[queue])
        with Consumer(channel, [queue], on_message=received.append, accept=["json"]):
            channel.qos.restore_visible(interval=1)
            wait_until(lambda: _drain(connection, seconds=0.1) or received, what="the message")
            channel.qos.restore_visible(interval=1)
            wait_until(lambda: _drain(connection, seconds=0.1) or len(received) > 1, what="again")
            received[0].ack()
            received[1].ack()


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile"])
def test_a_file_of_tls_that_does_not_exist_is_told_from_a_broker_that_is_down(
    name: str, valkey: Valkey, tmp_path: Path
) -> None:
    url = valkey.url.replace("redis://", "rediss://")
    sockets = f"redis+socket://{tmp_path}/broker.sock"

    with pytest.raises(RedisError) as raised:
        Connection(f"{url}?{name}={tmp_path}/ca.pem", transport=Transport).connect()
    with pytest.raises(RedisError) as down:
        Connection(sockets, transport=Transport).connect()

    assert isinstance(broker_error(raised.value), BrokerRefuses)
    assert name in str(broker_error(raised.value))
    assert type(broker_error(down.value)) is BrokerDown


def _waiting(client: Any) -> int:
    return int(client.info("clients")["blocked_clients"])


def _drain(connection: Connection, *, seconds: float = 1.0) -> None:
    with suppress(*connection.connection_errors):
        connection.drain_events(timeout=seconds)
