"""RabbitMQ as the broker: its confirms, and the arguments of its queues."""

from collections.abc import Iterable, Iterator

from events.errors import BrokerDown, BrokerRefuses, QueueUnavailable
from events.transport import CeleryTransport, confirms, dead_queue, queues
from tidings.doctor.findings import Finding, ok, or_ok, problem, unknown

CONFIRM_TIMEOUT = 5.0  # seconds


def check(transport: CeleryTransport, names: Iterable[str]) -> Iterator[Finding]:
    """Examine a connected RabbitMQ. Raises `BrokerDown`."""
    yield ok("broker", f"{transport.address} answers")
    yield from or_ok("confirms", _confirms(transport), "published messages are confirmed")
    wanted = sorted(names)
    findings = (each for name in wanted for each in _queue(transport, name))
    yield from or_ok("queues", findings, f"all {len(wanted)} have the expected arguments")
    yield from or_ok("dead queue", _dead_queue(transport), "empty")


def _confirms(transport: CeleryTransport) -> Iterator[Finding]:
    try:
        transport.with_channel(lambda channel: confirms.check_confirms(channel, CONFIRM_TIMEOUT))
    except BrokerRefuses as error:
        yield problem("confirms", f"RabbitMQ accepts no messages: {error.reason}", error.fix)
    except BrokerDown as error:
        yield problem(
            "confirms",
            f"RabbitMQ answers but accepts no messages: {error}",
            "run `rabbitmq-diagnostics alarms`, then free memory or disk space; "
            "the relay then sends the backlog",
        )


def _queue(transport: CeleryTransport, name: str) -> Iterator[Finding]:
    """Find what is wrong with one queue, without declaring one that is missing."""
    [expected] = queues([name], quorum=True)
    try:
        if not transport.exists(name):
            fix = "none needed: its first worker or message declares it"
            yield unknown("queues", f"{name} does not exist yet", fix)
            return
        transport.ask(name, lambda channel: expected(channel).declare())
        transport.waiting(name)
    except QueueUnavailable as error:
        yield problem("queues", f"{name} {error.reason}", error.fix)


def _dead_queue(transport: CeleryTransport) -> Iterator[Finding]:
    name = dead_queue.NAME
    try:
        transport.ask(name, dead_queue.DeadQueue)
        count = transport.waiting(name)
    except QueueUnavailable as error:
        yield problem("dead queue", f"{name} {error.reason}", error.fix)
        return
    if count:
        yield problem(
            "dead queue",
            f"it holds {count} messages that RabbitMQ dead-lettered",
            "start a relay: it stores them as invalid messages",
        )
