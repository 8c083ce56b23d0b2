"""The benchmarks' application on FastStream.

On Redis it reads a stream in a consumer group, FastStream's one way there that acknowledges, with
the second subscriber that its documentation asks for to claim what a dead consumer held.
"""

import asyncio
import os
from typing import Any

from faststream import AckPolicy, Context, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.redis import RedisBroker, StreamSub
from redis import Redis

from benchmarks.effects import write

_URL = os.environ["BROKER_URL"]
_GROUP = {"group": "workers", "consumer": "one"}
QUEUE = RabbitQueue("numbers", durable=True)
NEW = StreamSub("numbers", **_GROUP, max_records=10)
ABANDONED = StreamSub("numbers", **_GROUP, min_idle_time=60_000, polling_interval=1000)


def count(number: int, message: Any = Context()) -> None:  # noqa: B008  as documented
    """Write the effect. A message's own id is made anew each time it is read; this one is sent."""
    write(number, message.correlation_id)


if _URL.startswith("amqp"):
    one = Channel(prefetch_count=1)  # what was fetched is handled at once, each on a thread
    broker: Any = RabbitBroker(_URL, logger=None, default_channel=one)
    broker.subscriber(QUEUE, ack_policy=AckPolicy.NACK_ON_ERROR)(count)
else:
    broker = RedisBroker(_URL, logger=None)
    for stream in (NEW, ABANDONED):
        broker.subscriber(stream=stream, ack_policy=AckPolicy.NACK_ON_ERROR)(count)
app = FastStream(broker, logger=None)


async def _send(messages: int) -> None:
    rabbit = _URL.startswith("amqp")
    where = {"queue": QUEUE, "persist": True} if rabbit else {"stream": "numbers"}
    if not rabbit:  # a group that the worker makes begins with what comes after it
        with Redis.from_url(_URL) as client:
            client.xgroup_create("numbers", _GROUP["group"], id="0", mkstream=True)
    async with broker:
        if rabbit:
            await broker.declare_queue(QUEUE)
        for each in range(messages):
            await broker.publish(each, **where)


def send(messages: int) -> None:
    """Send the numbers."""
    asyncio.run(_send(messages))
