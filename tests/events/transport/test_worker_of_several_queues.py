"""A worker of several queues, of which the broker refuses one."""

import json
from base64 import b64decode
from collections.abc import Callable

import pytest
from kombu import Connection, Producer, Queue
from sqlalchemy import select

from events import Database, heartbeat, reading
from events.admin import worker_versions
from events.tables import InvalidMessageRow
from tests.events.stack import Stack
from tests.events.transport.confirmed import confirmed_channel
from tests.forked import BusProcess
from tests.servers import Process, Valkey, wait_until

pytestmark = pytest.mark.system
MakeStack = Callable[[Database, str], Stack]


def start_worker(stack: Stack) -> Process:
    """Start a worker for the queues `pings` and `calls`, without waiting until it consumes."""
    home = stack.home / "several"
    home.mkdir()
    celery = ["celery", "-A", "tests.events.live_app", "worker"]
    options = ["-Q", "pings,calls", "-n", "several@test", "-c", "1", "--without-mingle"]
    worker = stack.workers["several"] = BusProcess(
        [*celery, *options], home, stack.env | {"APP_VERSION": "7.1"}
    )
    worker.launch()
    return worker


def consumed() -> set[str]:
    with reading() as session:
        alive = [each for each in heartbeat.alive(session) if each.kind == "worker"]
    return {queue for each in alive for queue in each.queues}


def recorded_versions() -> dict[str, list[tuple[str, int]]]:
    """Return the versions of each queue with their live workers."""
    with reading() as session:
        found = worker_versions.by_queue(session)
    return {queue: [(each.version, each.workers) for each in found[queue]] for queue in found}


def quarantined_from() -> list[str]:
    with reading() as session:
        return list(session.scalars(select(InvalidMessageRow.queue)))


def check(stack: Stack, mend: Callable[[], object]) -> None:
    """See that the worker serves `calls` at once, and `pings` when it is mended."""
    worker = start_worker(stack)
    stack.relay()
    stack.ask(1)
    stack.ping(1)
    wait_until(lambda: stack.effects("recorded") == {1: 1}, what=f"a call; {worker.log()}")
    assert consumed() == {"calls"}
    assert "queue.unavailable" in worker.log()
    mend()
    wait_until(lambda: stack.effects("answered") == {1: 1}, what="the ping")
    wait_until(lambda: consumed() == {"calls", "pings"}, what="a heartbeat for both")
    both = {"calls": [("7.1", 1)], "pings": [("7.1", 1)]}
    wait_until(lambda: recorded_versions() == both, what="a version of both")
    assert worker.running()


def test_a_worker_consumes_its_other_queues_while_one_was_declared_elsewhere(
    make_stack: MakeStack, database: Database, rabbitmq_url: str
) -> None:
    with Connection(rabbitmq_url) as connection:
        Queue("pings", durable=True)(connection.channel()).declare()

    def mend() -> None:
        with Connection(rabbitmq_url) as connection:
            connection.channel().queue_delete("pings")

    stack = make_stack(database, rabbitmq_url)
    check(stack, mend)
    # There are more queues, of which no worker has ever been started.
    assert "delayed delivery" not in stack.workers["several"].log()
    with confirmed_channel(rabbitmq_url) as confirmed:  # as a countdown that is over
        producer = Producer(confirmed.channel)
        delayed = {"exchange": "celery_delayed_delivery", "routing_key": "0." * 28 + "pings"}
        confirmed.publish(producer.publish, b"none", **delayed)
    wait_until(lambda: quarantined_from() == ["pings"], what="the message on the mended queue")


@pytest.mark.slow
def test_a_worker_consumes_its_other_queues_while_the_key_of_one_is_no_list(
    make_stack: MakeStack, database: Database, valkey: Valkey, valkey_url: str
) -> None:
    with valkey.client() as client, client.pubsub() as channels:
        channels.psubscribe("*.celeryev/task.*")
        client.set("pings", "text")
        stack = make_stack(database, valkey_url)
        check(stack, lambda: client.delete("pings"))
        stack.workers["several"].stop()

        # A worker sends what it has to tell Flower when it ends, if no earlier.
        told = list(iter(lambda: channels.get_message(timeout=1.0), None))
    succeeded = {
        each["uuid"]
        for message in told
        if message["type"] == "pmessage"
        for each in json.loads(b64decode(json.loads(message["data"])["body"]))
        if each["type"] == "task-succeeded"
    }
    assert len(succeeded) == 2
