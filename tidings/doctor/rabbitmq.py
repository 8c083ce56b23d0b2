"""RabbitMQ as the broker: its confirms, and the arguments of its queues."""

from collections.abc import Iterable, Iterator

from events.errors import BrokerDown
from events.transport import CeleryTransport, confirms, dead_queue, queues
from tidings.doctor.findings import Finding, ok, or_ok, problem, unknown

CONFIRM_TIMEOUT = 5.0  # seconds
_NOT_FOUND = 404  # AMQP's reply code


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
    except BrokerDown as error:
        yield problem(
            "confirms",
            f"RabbitMQ answers but accepts no messages: {error}",
            "run `rabbitmq-diagnostics alarms`, then free memory or disk space; "
            "the relay then sends the backlog",
        )


def _queue(transport: CeleryTransport, name: str) -> Iterator[Finding]:
    try:
        transport.with_channel(lambda channel: channel.queue_declare(name, passive=True))
    except BrokerDown as error:
        if getattr(error.__cause__, "reply_code", None) != _NOT_FOUND:
            raise
        fix = "none needed: its first worker or message declares it"
        yield unknown("queues", f"{name} does not exist yet", fix)
        return
    [expected] = queues([name], quorum=True)
    try:
        transport.with_channel(lambda channel: expected(channel).declare())
    except BrokerDown as error:
        yield problem(
            "queues",
            f"{name} has other arguments than expected: {_reply(error)}",
            f"stop its workers, run `rabbitmqctl delete_queue {name}`, start them: they declare "
            "it, and the relay sends its messages again",
        )
        transport.connect()


def _reply(error: BrokerDown) -> str:
    return str(getattr(error.__cause__, "reply_text", error)).removeprefix("PRECONDITION_FAILED - ")


def _dead_queue(transport: CeleryTransport) -> Iterator[Finding]:
    count: int = transport.with_channel(
        lambda channel: channel.queue_declare(dead_queue.NAME, passive=True).message_count
    )
    if count:
        yield problem(
            "dead queue",
            f"it holds {count} messages that RabbitMQ dead-lettered",
            "start a relay: it stores them as invalid messages",
        )
