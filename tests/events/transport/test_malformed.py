"""A real worker quarantines every malformed message and handles the ones after it."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import amqp
import pytest
from kombu import Producer
from sqlalchemy import select, text

from events import Database, reading, transaction
from events.tables import InvalidMessageRow
from events.transport import dead_queue
from tests.events.stack import Stack
from tests.events.transport.confirmed import confirmed_channel
from tests.events.transport.malformed import (
    EVERYTHING,
    GARBAGE,
    UNDECODABLE,
    WRONG_BODIES,
    Malformed,
)
from tests.servers import Valkey, wait_until

# Each invalid message is a commit of its own, which takes its time on a busy disk.
pytestmark = pytest.mark.system

MakeStack = Callable[[Database, str], Stack]


def publish_to_pings(url: str, messages: Sequence[Malformed]) -> None:
    """Publish messages to the queue `pings` as they are."""
    with confirmed_channel(url) as confirmed:
        producer = Producer(confirmed.channel, routing_key="pings")
        for each in messages:
            how: dict[str, Any] = {
                "content_type": each.content_type,
                "content_encoding": each.content_encoding,
            }
            confirmed.publish(producer.publish, each.body, headers=each.headers, **how)


def quarantined() -> list[InvalidMessageRow]:
    with reading() as session:
        return list(session.scalars(select(InvalidMessageRow).order_by(InvalidMessageRow.id)))


def assert_quarantined(stack: Stack, bodies: Sequence[bytes]) -> list[InvalidMessageRow]:
    """Wait for these messages in quarantine; the worker must survive and handle the next one."""
    [worker] = stack.workers.values()
    pid = worker.pid
    wait_until(
        lambda: len(quarantined()) >= len(bodies),
        what=f"{len(bodies)} invalid messages",
    )
    invalid_messages = quarantined()
    assert Counter(row.body for row in invalid_messages) == Counter(bodies)
    assert {row.queue for row in invalid_messages} == {"pings"}
    stack.relay()
    stack.ping(1)
    wait_until(lambda: stack.effects("answered")[1] == 1, what="a good message handled")
    assert (worker.running(), worker.pid) == (True, pid)
    assert "Unrecoverable" not in worker.log()
    return invalid_messages


@pytest.mark.parametrize("broker", ["valkey", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def test_a_worker_quarantines_every_malformed_message_and_lives_on(
    broker: str, database: Database, request: pytest.FixtureRequest, make_stack: MakeStack
) -> None:
    url = request.getfixturevalue(f"{broker}_url")
    stack = make_stack(database, url)
    stack.work("pings")

    publish_to_pings(url, EVERYTHING)

    invalid_messages = assert_quarantined(stack, [each.body for each in EVERYTHING])
    assert all('"headers"' in row.headers for row in invalid_messages)
    assert sum('"id": "m-1"' in row.headers for row in invalid_messages) > len(EVERYTHING) / 2


def test_raw_garbage_on_valkey_is_quarantined_and_stays_queued_while_the_database_refuses_it(
    valkey: Valkey, valkey_url: str, database: Database, make_stack: MakeStack
) -> None:
    stack = make_stack(database, valkey_url)
    worker = stack.work("pings")
    bad = WRONG_BODIES[0]
    with transaction() as session:
        session.execute(text("ALTER TABLE invalid_messages RENAME TO elsewhere"))

    with valkey.client() as client:
        client.lpush("pings", *GARBAGE)
    publish_to_pings(valkey_url, [bad])
    wait_until(
        lambda: worker.log().count("invalid_message.not_stored") >= 3,
        what="several attempts to store them",
    )
    with transaction() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO invalid_messages"))

    invalid_messages = assert_quarantined(stack, [*GARBAGE, bad.body])
    assert Counter(row.reason for row in invalid_messages)["not a message"] == len(GARBAGE)


@pytest.mark.parametrize("broker", ["valkey", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def test_a_message_that_the_database_refuses_stays_queued_though_its_worker_dies(
    broker: str, database: Database, request: pytest.FixtureRequest, make_stack: MakeStack
) -> None:
    url = request.getfixturevalue(f"{broker}_url")
    stack = make_stack(database, url)
    worker = stack.work("pings", "--prefetch-multiplier", "1")
    with transaction() as session:
        session.execute(text("ALTER TABLE invalid_messages RENAME TO elsewhere"))

    publish_to_pings(url, UNDECODABLE)
    wait_until(
        lambda: worker.log().count("invalid_message.not_stored") >= 3,
        what="several attempts to store them",
    )
    if broker == "rabbitmq":  # Valkey redelivers a dead worker's messages after an hour
        worker.kill()
        worker.launch()
    with transaction() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO invalid_messages"))

    assert_quarantined(stack, [each.body for each in UNDECODABLE])


def publish_unreadable(url: str, queue: str) -> int:
    """Publish messages whose properties py-amqp itself cannot read; returns how many."""
    deep: dict[str, Any] = {}
    for _ in range(1500):
        deep = {"a": deep}
    wrong: list[dict[str, Any]] = [
        {"application_headers": {"when": datetime(2030, 1, 1)}},  # noqa: DTZ001 - AMQP's have no zone
        {"application_headers": deep},
        {"application_headers": {b"\xff\xfe": 1}},
        {"content_type": b"\xff\xfe"},
    ]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(30_000)
    try:
        with (
            confirmed_channel(url) as confirmed,
            pytest.MonkeyPatch.context() as patch,
        ):
            # Milliseconds, which many programs write there.
            patch.setattr("calendar.timegm", lambda *_: 1_900_000_000_000)
            for each in wrong:
                message = amqp.Message(b"x", **each)
                confirmed.publish(confirmed.channel.basic_publish, message, "", queue)
    finally:
        sys.setrecursionlimit(limit)
    return len(wrong)


@pytest.mark.parametrize("queue", ["pings", pytest.param(dead_queue.NAME, marks=pytest.mark.slow)])
def test_properties_that_cannot_be_read_end_neither_worker_nor_relay(
    queue: str, database: Database, rabbitmq_url: str, make_stack: MakeStack
) -> None:
    stack = make_stack(database, rabbitmq_url)
    worker, relay = stack.work("pings"), stack.relay()

    count = publish_unreadable(rabbitmq_url, queue)
    stack.ping(1)

    wait_until(lambda: len(quarantined()) == count, what=f"{count} invalid messages")
    wait_until(lambda: stack.effects("answered")[1] == 1, what="a good message handled")
    assert (worker.running(), relay.running()) == (True, True)
    assert {row.body for row in quarantined()} == {b"x"}
