"""Faults of one queue of RabbitMQ, and of the whole of it, made on a real node."""

from collections.abc import Callable
from typing import Any

from kombu import Connection, Queue

from events import transport
from tests.events.transport.confirmed import confirmed_channel
from tests.servers import erlang, evaluate, wait_until
from tidings.chaos.rabbitmq import RabbitMQ


class Broker:
    """A virtual host of a node, on which a test breaks the queue `notes`."""

    def __init__(self, node: RabbitMQ, url: str) -> None:
        self.node, self.url, self.host = node, url, url.rpartition("/")[2]
        self.mends: list[Callable[[], object]] = []

    def call(self, function: str, *texts: str) -> None:
        """Call a function of the node, as the user who did it."""
        erlang(self.node, function, *texts, "tests")

    def ask(self, function: Callable[[Any], Any]) -> Any:
        """Return the result of `function` for a channel."""
        with Connection(self.url) as connection:
            return function(connection.channel())

    def declare(self, *names: str) -> None:
        """Declare queues as Tidings does, and wait until they take messages."""
        for queue in transport.queues(names, quorum=True):
            self.ask(lambda channel, queue=queue: queue(channel).declare())
            with confirmed_channel(self.url) as confirmed:
                channel = confirmed.channel
                confirmed.publish(
                    channel.basic_publish, channel.prepare_message(b"{}"), "", queue.name
                )
            self.ask(lambda channel, queue=queue: channel.queue_purge(queue.name))

    def waiting(self, queue: str) -> int:
        """Return the number of messages on a queue."""
        return int(self.ask(lambda channel: channel.queue_declare(queue, passive=True))[1])

    def mend(self) -> None:
        """Undo what was done."""
        while self.mends:
            self.mends.pop()()


def full(broker: Broker) -> None:
    """Let the queue take no message more; `reject-publish` is its argument."""
    broker.declare("notes")
    policy = ("^notes$", '{"max-length": 1}', "0", "queues")
    broker.call("rabbit_policy:parse_set", broker.host, "small", *policy)
    broker.mends.append(lambda: broker.call("rabbit_policy:delete", broker.host, "small"))

    def fill(channel: Any) -> None:
        for _ in range(5):
            channel.basic_publish(channel.prepare_message(b"{}"), "", "notes")

    wait_until(lambda: broker.ask(fill) or broker.waiting("notes") >= 2, what="a full queue")


def declared_elsewhere(broker: Broker) -> None:
    """Declare it as somebody else may: a classic queue."""
    broker.ask(lambda channel: Queue("notes", durable=True)(channel).declare())
    broker.mends.append(lambda: broker.ask(lambda channel: channel.queue_delete("notes")))


def without_leader(broker: Broker) -> None:
    """Stop the process that leads the queue."""
    broker.declare("notes")
    server = f"{{'{broker.host}_notes', node()}}"
    evaluate(broker.node, f"ra:stop_server(quorum_queues, {server}).")
    broker.mends.append(
        lambda: evaluate(broker.node, f"ra:restart_server(quorum_queues, {server}).")
    )


def in_alarm(broker: Broker) -> None:
    """Let RabbitMQ think that it is out of memory."""
    allow_memory(broker.node, "1MB")
    broker.mends.append(lambda: allow_memory(broker.node, "1GB"))


def allow_memory(node: RabbitMQ, limit: str) -> None:
    """Set the limit above which a node is in alarm."""
    absolute = f'{{absolute, "{limit}"}}'
    evaluate(node, f"vm_memory_monitor:set_vm_memory_high_watermark({absolute}).")
