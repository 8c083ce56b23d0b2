"""The queues at the broker: how they are declared, and what RabbitMQ says of them."""

from collections.abc import Iterable, Set
from typing import Any

from amqp.exceptions import NotFound
from kombu import Exchange, Queue

from events.transport import dead_queue


def queues(names: Iterable[str], *, quorum: bool) -> list[Queue]:
    """Return one queue per name, each on an exchange of its own.

    On RabbitMQ they are quorum queues, whose dead letters go to the dead queue, and the exchanges
    are of the type topic: Celery delays a task with a countdown at the broker then, and otherwise
    in a worker, which receives nothing else as long.
    """
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": dead_queue.NAME,
        "x-dead-letter-routing-key": dead_queue.NAME,
        "x-dead-letter-strategy": "at-least-once",
    }
    chosen = arguments if quorum else None
    return [
        Queue(name, _exchange(name, quorum=quorum), routing_key=name, queue_arguments=chosen)
        for name in sorted(set(names))
    ]


def _exchange(queue: str, *, quorum: bool) -> Exchange:
    # Under the queue's own name an earlier version left a direct exchange.
    return Exchange(f"{queue}.topic", type="topic") if quorum else Exchange(queue, type="direct")


def usable(channel: Any, names: Set[str]) -> set[str]:
    """Return the queues that need not be declared again; of RabbitMQ's this says nothing.

    Redis needs no declaration, and says of all queues in one round trip whether they are lists.
    """
    if hasattr(channel, "confirm_select"):  # RabbitMQ's
        return set()
    pairs = [(name, step) for name in names for step in channel.priority_steps]
    with channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
        for name, step in pairs:
            pipe.llen(channel._q_for_pri(name, step))
        sizes = zip(pairs, pipe.execute(raise_on_error=False), strict=True)
    return set(names) - {name for (name, _), size in sizes if isinstance(size, Exception)}


def exists(channel: Any, queue: str) -> bool:
    """Tell whether RabbitMQ has a queue; the channel of the caller stays open."""
    own = channel.connection.channel()  # the answer 404 closes it
    try:
        own.queue_declare(queue, passive=True)
    except NotFound:
        return False
    own.close()
    return True


def count_ready(channel: Any, queue: str) -> int:
    """Return the number of messages that are ready on a queue of RabbitMQ.

    Of a queue without a leader RabbitMQ says that it is empty, and its messages would count as
    lost. So an empty queue without consumers is asked for a message: without a leader, that is an
    error.
    """
    found = channel.queue_declare(queue, passive=True)
    if (
        not found.message_count
        and not found.consumer_count
        and (message := channel.basic_get(queue))
    ):
        channel.basic_reject(message.delivery_tag, requeue=True)  # it came just now
    return int(found.message_count)
