"""Forged messages: a writer on the broker can cause sends of open deliveries, nothing else."""

import json
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection, Producer
from sqlalchemy import select

from events import Database, reading
from events.tables import InvalidMessageRow
from tests.events.live_app import app
from tests.events.stack import Stack
from tests.servers import wait_until

OF_CELERY = sorted(name for name in app.tasks if name.startswith("celery."))


def forged(task: str, event_ids: list[str]) -> tuple[bytes, dict[str, Any]]:
    """Return a well-formed message for a task of any name."""
    options = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
    return json.dumps([[event_ids], {}, options]).encode(), {
        "task": task,
        "id": f"forged-{uuid4()}",
        "retries": 0,
    }


def publish_raw(url: str, messages: list[tuple[bytes, dict[str, Any]]]) -> None:
    """Publish messages past the relay."""
    with Connection(url) as connection:
        producer = Producer(connection.channel(), routing_key="pings")
        for body, headers in messages:
            producer.publish(
                body, headers=headers, content_type="application/json", content_encoding="utf-8"
            )


def stored() -> list[InvalidMessageRow]:
    with reading() as session:
        return list(session.scalars(select(InvalidMessageRow)))


@pytest.mark.system
@pytest.mark.parametrize("broker", ["valkey", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def test_a_message_cannot_name_a_task_that_is_no_subscription(
    broker: str, database: Database, request: pytest.FixtureRequest, make_stack: Any
) -> None:
    url = request.getfixturevalue(f"{broker}_url")
    stack: Stack = make_stack(database, url)
    worker = stack.work("pings")
    assert {
        "celery.chord",
        "celery.chain",
        "celery.group",
        "celery.starmap",
        "celery.backend_cleanup",
    } <= set(OF_CELERY)
    names = [*OF_CELERY, "os.system", "tests.events.live_app.hang"]

    publish_raw(url, [forged(name, [str(uuid4())]) for name in names])

    wait_until(lambda: len(stored()) == len(names), what=f"{len(names)} invalid messages")
    assert sorted(row.reason for row in stored()) == sorted(
        f"unknown task {name!r}; no module of this worker has it" for name in names
    )
    assert worker.running()
    assert not [name for name in names if f"Task {name}" in worker.log()]


@pytest.mark.system
def test_a_forged_task_message_for_a_delivery_that_is_not_open_does_nothing(
    database: Database, make_stack: Any, valkey_url: str
) -> None:
    stack: Stack = make_stack(database, valkey_url)
    stack.ping(1)
    stack.work("pings")
    stack.relay()
    wait_until(
        lambda: stack.states("pings.answer_ping") == {"done": 1},
        what="one ping answered",
    )
    [delivery] = stack.deliveries("pings.answer_ping")

    publish_raw(
        valkey_url,
        [forged("pings.answer_ping", [str(delivery.event_id), str(uuid4())]) for _ in range(5)],
    )
    stack.ping(2)

    wait_until(
        lambda: stack.states("pings.answer_ping") == {"done": 2},
        what="both pings answered",
    )
    assert stack.effects("answered") == {1: 1, 2: 1}
