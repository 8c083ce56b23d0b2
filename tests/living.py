"""Processes that are alive for the bus, and are none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from events import heartbeat


@contextmanager
def living(name: str, kind: str, *queues: str, slots: int = 1) -> Iterator[None]:
    """Beat for a process until the block ends, however slow the machine is."""
    ended = threading.Event()

    def beat() -> None:
        heartbeat.beat(name, kind, queues, slots=slots)

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
