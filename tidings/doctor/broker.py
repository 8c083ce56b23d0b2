"""The broker: does it answer, and do the times of messages and tasks fit each other?"""

from collections.abc import Iterable, Iterator
from typing import Any

from events.errors import BrokerDown
from events.settings import Settings
from events.transport import CeleryTransport
from tidings.doctor import rabbitmq, valkey
from tidings.doctor.findings import Finding, one_of, problem

CONSUMER_TIMEOUT = 1800.0  # seconds after which RabbitMQ takes a message away from a worker that is still busy with it


def check(
    transport: CeleryTransport, configuration: Any, chosen: Settings, queues: Iterable[str]
) -> Iterator[Finding]:
    """Everything about the broker. `configuration` is the Celery app's."""
    amqp = chosen.broker_url.startswith(("amqp", "pyamqp"))
    yield from one_of(
        "times",
        _times(configuration, chosen, amqp=amqp),
        "no message is given out again while its task runs",
    )
    try:
        transport.connect()
        yield from rabbitmq.check(transport, queues) if amqp else valkey.check(transport)
    except BrokerDown as error:
        fix = "start it, or set BROKER_URL to one that runs; orders are accepted meanwhile and go on when it is back"
        yield problem("broker", f"{transport.address} does not answer: {error}", fix)


def _times(configuration: Any, chosen: Settings, *, amqp: bool) -> Iterator[Finding]:
    hard, soft = float(configuration.task_time_limit), float(configuration.task_soft_time_limit)
    if soft >= hard:
        yield problem(
            "times",
            f"a task is killed after {hard:g} s, before it is interrupted after {soft:g} s",
            "lower TASK_SOFT_TIME_LIMIT",
        )
    if chosen.lease <= hard:
        told = f"a delivery counts as lost after {chosen.lease:g} s, while its task may run for {hard:g} s"
        yield problem(
            "times", told, f"set LEASE above {hard:g}, or TASK_TIME_LIMIT below {chosen.lease:g}"
        )
    given = (
        CONSUMER_TIMEOUT
        if amqp
        else float(configuration.broker_transport_options.get("visibility_timeout", 3600))
    )
    name = "RabbitMQ's consumer_timeout" if amqp else "the visibility timeout"
    if given <= hard:
        told = f"{name} is {given:g} s, while a task may run for {hard:g} s: it would be given to a second worker"
        yield problem("times", told, f"set TASK_TIME_LIMIT below {given:g}")
