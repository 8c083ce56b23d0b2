"""A deadline for each handler of a batch, so that a slow one does not hold up the others."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class DeadlineExceeded(Exception):
    """A handler took too long for a batch, which is handled one by one then."""


@contextmanager
def deadline(seconds: float) -> Iterator[Callable[[], None]]:
    """Raise `DeadlineExceeded` in the block so many seconds after the last call of what it yields.

    Zero seconds set none. Python swallows an exception in a finalizer of the garbage collector; it
    is raised again after the same time. It works in the main thread only, where the prefork pool
    runs its tasks; elsewhere nothing is interrupted.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.signal(signal.SIGALRM, _exceeded)
    try:
        yield lambda: _set_timer(seconds)
    finally:
        _set_timer(0.0)
        signal.signal(signal.SIGALRM, before)


def _set_timer(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def _exceeded(*_: Any) -> None:
    raise DeadlineExceeded
