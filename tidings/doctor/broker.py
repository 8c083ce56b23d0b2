"""The broker: its availability, and the time limits of messages and tasks."""

from collections.abc import Iterable, Iterator
from typing import Any

from events.addresses import accepts_any_certificate, is_amqp
from events.errors import BrokerBlocked, BrokerDown, BrokerRefuses
from events.settings import Settings
from events.transport import CeleryTransport
from tidings.doctor import rabbitmq, valkey
from tidings.doctor.findings import Finding, or_ok, problem

CONSUMER_TIMEOUT = 1800.0  # seconds; RabbitMQ's default
VISIBILITY_TIMEOUT = 3600.0  # seconds; kombu's default


def check(
    transport: CeleryTransport, configuration: Any, settings: Settings, queues: Iterable[str]
) -> Iterator[Finding]:
    """Examine the broker. `configuration` is that of the Celery app."""
    amqp = is_amqp(settings.broker_url)
    yield from or_ok(
        "certificate", _certificate(settings), "the broker's is checked where TLS is used"
    )
    yield from or_ok(
        "time limits",
        _time_limits(configuration, settings, amqp=amqp),
        "no message is redelivered while its task runs",
    )
    try:
        yield from _accepting(transport)
        yield from rabbitmq.check(transport, queues) if amqp else valkey.check(transport, queues)
    except BrokerRefuses as error:
        yield problem("broker", f"{transport.address}: {error.reason}", error.fix)
    except BrokerDown as error:
        yield problem(
            "broker",
            f"{transport.address} does not answer: {error}",
            "start it, or correct BROKER_URL; meanwhile orders are accepted and kept",
        )


def _accepting(transport: CeleryTransport) -> Iterator[Finding]:
    try:
        transport.connect()
    except BrokerBlocked as error:
        yield problem("broker", f"{transport.address}: {error.reason}", error.fix)


def _certificate(settings: Settings) -> Iterator[Finding]:
    if accepts_any_certificate(settings.broker_url):
        yield problem(
            "certificate",
            "BROKER_URL says ssl_cert_reqs, with which any server can present itself as the broker",
            "leave ssl_cert_reqs out; ssl_ca_certs names the file of an authority of your own",
        )


def _time_limits(configuration: Any, settings: Settings, *, amqp: bool) -> Iterator[Finding]:
    hard, soft = settings.task_time_limit, settings.task_soft_time_limit
    if soft >= hard:
        yield problem(
            "time limits",
            f"TASK_SOFT_TIME_LIMIT ({soft:g} s) must be lower than TASK_TIME_LIMIT ({hard:g} s)",
            f"lower TASK_SOFT_TIME_LIMIT below {hard:g}",
        )
    if settings.lease <= hard:
        yield problem(
            "time limits",
            f"LEASE ({settings.lease:g} s) must be longer than TASK_TIME_LIMIT ({hard:g} s): "
            "a delivery would count as lost while its task runs",
            f"raise LEASE above {hard:g}, or lower TASK_TIME_LIMIT below {settings.lease:g}",
        )
    limit, name = CONSUMER_TIMEOUT, "the consumer_timeout of RabbitMQ"
    if not amqp:
        options = configuration.broker_transport_options
        limit = float(options.get("visibility_timeout", VISIBILITY_TIMEOUT))
        name = "the visibility timeout"
    if limit <= hard:
        yield problem(
            "time limits",
            f"{name} ({limit:g} s) must be longer than TASK_TIME_LIMIT ({hard:g} s): "
            "a second worker would receive the message while its task runs",
            f"lower TASK_TIME_LIMIT below {limit:g}",
        )
