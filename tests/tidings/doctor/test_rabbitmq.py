"""The doctor's checks of a real RabbitMQ."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue

from events import transport
from events.transport import dead_queue
from tests.events.transport.queue_faults import allow_memory
from tests.servers import wait_until
from tests.tidings.doctor.examined import Examine, problems
from tidings.chaos.rabbitmq import RabbitMQ


def test_a_rabbitmq_that_is_well_is_told_so(rabbitmq_url: str, examine: Examine) -> None:
    with Connection(rabbitmq_url) as connection:
        for queue in transport.queues(["payment", "email"], quorum=True):
            queue(connection.default_channel).declare()

    found = examine(rabbitmq_url, "payment", "email")

    assert {each.level for each in found} == {"ok"}
    assert "all 2 have the expected arguments" in [each.message for each in found]


def test_a_rabbitmq_that_answers_and_takes_nothing_is_found(
    rabbitmq_node: RabbitMQ, rabbitmq_url: str, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.doctor.rabbitmq.CONFIRM_TIMEOUT", 1.0)
    allow_memory(rabbitmq_node, "1MB")
    try:
        [found] = [each for each in examine(rabbitmq_url) if each.level == "problem"]
    finally:
        allow_memory(rabbitmq_node, "1GB")

    assert found.part == "confirms"
    assert (
        "RabbitMQ answers but accepts no messages: 1 published and unconfirmed for 1 s; "
        "is the broker out of memory or disk?" in found.message
    )


def test_a_queue_that_is_not_there_yet_is_told_and_not_made(
    rabbitmq_url: str, examine: Examine
) -> None:
    for _ in range(2):
        [found] = [each for each in examine(rabbitmq_url, "payment") if each.part == "queues"]

        assert (found.level, found.message) == ("unknown", "payment does not exist yet")


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        {"x-queue-type": "quorum"},
        {"x-queue-type": "quorum", "x-delivery-limit": 3, "x-overflow": "reject-publish"},
    ],
)
def test_a_queue_that_is_not_as_we_declare_it_is_found(
    rabbitmq_url: str, examine: Examine, arguments: dict[str, Any] | None
) -> None:
    with Connection(rabbitmq_url) as connection:
        exchange = Exchange("payment", type="direct")
        Queue("payment", exchange, routing_key="payment", queue_arguments=arguments)(
            connection.default_channel
        ).declare()

    [found] = [each for each in examine(rabbitmq_url, "payment") if each.level == "problem"]

    assert found.message.startswith(
        "payment has other arguments than expected: inequivalent arg 'x-"
    )
    assert "rabbitmqctl delete_queue payment" in found.fix


def other_exchange(channel: Any) -> None:
    Exchange("payment.topic", type="direct")(channel).declare()
    channel.queue_declare("payment", durable=True, arguments=QUORUM, auto_delete=False)


def exclusive(channel: Any) -> None:
    channel.queue_declare("payment", exclusive=True)


[OURS] = transport.queues(["payment"], quorum=True)
QUORUM = OURS.queue_arguments


@pytest.mark.parametrize(
    ("declare", "told", "fix"),
    [
        (other_exchange, "an exchange with other arguments", "delete exchange name=payment.topic"),
        (exclusive, "cannot obtain exclusive access", "close the connection"),
    ],
)
def test_one_queue_that_cannot_be_used_is_found_and_all_others_are_examined(
    rabbitmq_url: str, examine: Examine, declare: Callable[[Any], None], told: str, fix: str
) -> None:
    with Connection(rabbitmq_url) as connection:
        declare(connection.default_channel)
        found = examine(rabbitmq_url, "email", "payment", "shipping")

    [trouble] = [each for each in found if each.level == "problem"]
    assert trouble.message.startswith("payment ")
    assert told in trouble.message
    assert fix in trouble.fix
    assert [each.message for each in found if each.level == "unknown"] == [
        "email does not exist yet",
        "shipping does not exist yet",
    ]
    assert found[-1].part == "dead queue"


def test_a_dead_queue_that_is_not_as_we_declare_it_is_found(
    rabbitmq_url: str, examine: Examine
) -> None:
    with Connection(rabbitmq_url) as connection:
        Queue(dead_queue.NAME, durable=True)(connection.default_channel).declare()

    [found] = [each for each in examine(rabbitmq_url, "payment") if each.level == "problem"]

    assert found.part == "dead queue"
    assert f"rabbitmqctl delete_queue {dead_queue.NAME}" in found.fix


def test_messages_in_rabbitmqs_dead_queue_are_found(rabbitmq_url: str, examine: Examine) -> None:
    examine(rabbitmq_url)  # declares it
    with Connection(rabbitmq_url) as connection:
        channel = connection.default_channel
        channel.basic_publish(channel.prepare_message(b"text"), dead_queue.NAME, dead_queue.NAME)

    wait_until(
        lambda: (
            "dead queue: it holds 1 messages that RabbitMQ dead-lettered"
            in problems(examine(rabbitmq_url))
        ),
        what="one",
    )
