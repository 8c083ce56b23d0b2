"""Turns of SQLite's writers, taken by hand."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from events.dialects.write_lock import WriteLock
from tests.servers import HANG

PATIENT = 30.0  # seconds of patience; such a writer sleeps in the kernel's queue


def lock(path: str, *, timeout: float = PATIENT, urgent: bool = False) -> WriteLock:
    """Return the lock of a writer."""
    return WriteLock(path, timeout, urgent=urgent)


@contextmanager
def held(path: str) -> Iterator[None]:
    """Let another thread have the turn until the end of the block."""
    has_it, enough = threading.Event(), threading.Event()

    def hold() -> None:
        turn = lock(path).acquire()
        assert turn is not None
        has_it.set()
        enough.wait()
        turn.release()

    thread = threading.Thread(target=hold)
    thread.start()
    assert has_it.wait(PATIENT)
    try:
        yield
    finally:
        enough.set()
        thread.join()


def held_by_another_thread(path: str, seconds: float) -> threading.Thread:
    """Let another thread have the turn for so long."""
    has_it = threading.Event()

    def hold() -> None:
        turn = lock(path).acquire()
        assert turn is not None
        has_it.set()
        time.sleep(seconds)
        turn.release()

    thread = threading.Thread(target=hold)
    thread.start()
    assert has_it.wait(HANG)
    return thread
