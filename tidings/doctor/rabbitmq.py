"""RabbitMQ as the broker: are the queues there, and are they as we would declare them?"""

from collections.abc import Iterable, Iterator

from events.errors import BrokerDown
from events.transport import CeleryTransport, confirms, dead_queue, queues
from tidings.doctor.findings import Finding, ok, one_of, problem, unknown

CONFIRM_TIMEOUT = 5.0  # seconds
_NOT_FOUND = 404  # AMQP's reply code


def check(transport: CeleryTransport, names: Iterable[str]) -> Iterator[Finding]:
    """Everything that a connection can find out. Raises `BrokerDown`."""
    yield ok("broker", f"{transport.address} answers")
    yield from one_of("confirms", _confirms(transport), "it confirms what it takes")
    wanted = sorted(names)
    yield from one_of(
        "queues",
        (each for name in wanted for each in _queue(transport, name)),
        f"all {len(wanted)} are as they should be",
    )
    yield from one_of("dead queue", _dead(transport), "empty")


def _confirms(transport: CeleryTransport) -> Iterator[Finding]:
    try:
        transport.with_channel(lambda channel: confirms.check_confirms(channel, CONFIRM_TIMEOUT))
    except BrokerDown as error:
        fix = "rabbitmq-diagnostics alarms says whether it lacks memory or disk; make room, and what waits in the ledger is sent"
        yield problem("confirms", f"it answers, but takes no message: {error}", fix)


def _queue(transport: CeleryTransport, name: str) -> Iterator[Finding]:
    try:
        transport.with_channel(lambda channel: channel.queue_declare(name, passive=True))
    except BrokerDown as error:
        if getattr(error.__cause__, "reply_code", None) != _NOT_FOUND:
            raise
        yield unknown(
            "queues", f"{name} is not there yet", "nothing: its first worker or message declares it"
        )
        return
    [as_we_declare_it] = queues([name], quorum=True)
    try:
        transport.with_channel(lambda channel: as_we_declare_it(channel).declare())
    except BrokerDown as error:
        fix = f"stop its workers, rabbitmqctl delete_queue {name}, start them: they declare it, and the ledger sends again what lay in it"
        yield problem("queues", f"{name} is not a quorum queue with our limits: {_why(error)}", fix)
        transport.connect()


def _why(error: BrokerDown) -> str:
    return str(getattr(error.__cause__, "reply_text", error)).removeprefix("PRECONDITION_FAILED - ")


def _dead(transport: CeleryTransport) -> Iterator[Finding]:
    count: int = transport.with_channel(
        lambda channel: channel.queue_declare(dead_queue.NAME, passive=True).message_count
    )
    if count:
        yield problem(
            "dead queue",
            f"{count} messages that RabbitMQ gave up wait in it",
            "start a relay: it takes them into the ledger as invalid_messages",
        )
