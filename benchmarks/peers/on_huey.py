"""The benchmarks' application on Huey."""

import os

from huey import RedisHuey
from huey.api import Task

from benchmarks.effects import write

huey = RedisHuey("numbers", url=os.environ["BROKER_URL"], results=False)


@huey.task(context=True)
def count(number: int, task: Task | None = None) -> None:
    """Write the effect."""
    assert task is not None
    write(number, task.id)


def send(messages: int) -> None:
    """Enqueue the numbers."""
    for each in range(messages):
        count(each)
