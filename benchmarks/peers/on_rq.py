"""The benchmarks' application on RQ."""

import os

from redis import Redis
from rq import Queue, Retry, get_current_job

from benchmarks.effects import write


def count(number: int) -> None:
    """Write the effect."""
    job = get_current_job()
    assert job is not None
    write(number, job.id)


def send(messages: int) -> None:
    """Enqueue the numbers. With a retry, a job whose worker died runs again instead of failing."""
    queue = Queue("numbers", connection=Redis.from_url(os.environ["BROKER_URL"]))
    for each in range(messages):
        queue.enqueue("benchmarks.peers.on_rq.count", each, result_ttl=0, retry=Retry(max=3))
