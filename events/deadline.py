"""A deadline for the handlers of a batch, so that a slow one does not hold up the others."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class DeadlineExceeded(Exception):
    """The batch ran for too long; it is rolled back and its deliveries are handled one by one."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `DeadlineExceeded` in the block after so many seconds.

    It works in the main thread only, where the prefork pool runs its tasks: elsewhere the block
    takes as long as it takes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _exceeded)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _exceeded(*_: Any) -> None:
    raise DeadlineExceeded
