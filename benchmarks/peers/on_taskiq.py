"""The benchmarks' application on Taskiq.

On Redis it uses streams: its broker of lists acknowledges nothing.
"""

import asyncio
import os

from taskiq import Context, TaskiqDepends
from taskiq_aio_pika import AioPikaBroker
from taskiq_redis import RedisStreamBroker

from benchmarks.effects import write

_URL = os.environ["BROKER_URL"]
broker = AioPikaBroker(_URL) if _URL.startswith("amqp") else RedisStreamBroker(_URL)


@broker.task
def count(number: int, context: Context = TaskiqDepends()) -> None:  # noqa: B008  as documented
    """Write the effect."""
    write(number, context.message.task_id)


async def _send(messages: int) -> None:
    await broker.startup()
    for each in range(messages):
        await count.kiq(each)
    await broker.shutdown()


def send(messages: int) -> None:
    """Send the numbers."""
    asyncio.run(_send(messages))
