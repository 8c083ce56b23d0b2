"""A worker that is alive for the relay, without a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from events import heartbeat


@contextmanager
def living_worker(queue: str, *, slots: int) -> Iterator[None]:
    """Beat for a worker of the queue until the block ends, however slow the machine is."""
    ended = threading.Event()

    def beat() -> None:
        heartbeat.beat("w", "worker", [queue], slots=slots)

    def go_on() -> None:
        while not ended.wait(heartbeat.INTERVAL):
            beat()

    beat()
    beating = threading.Thread(target=go_on)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
