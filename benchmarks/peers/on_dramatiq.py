"""The benchmarks' application on Dramatiq."""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage

from benchmarks.effects import write

_URL = os.environ["BROKER_URL"]
broker = RabbitmqBroker(url=_URL) if _URL.startswith("amqp") else RedisBroker(url=_URL)
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="numbers")
def count(number: int) -> None:
    """Write the effect."""
    write(number, CurrentMessage.get_current_message().message_id)


def send(messages: int) -> None:
    """Send the numbers."""
    for each in range(messages):
        count.send(each)
