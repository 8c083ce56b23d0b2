"""A thread that acts at each interval, until its block ends."""

import threading
from abc import ABC, abstractmethod
from typing import Self


class Periodic(ABC):
    """A thread that calls `act` at each interval of seconds, the first time after one.

    The end of its block waits for it, for `stop_timeout` seconds if that is given.
    """

    def __init__(self, name: str, interval: float, *, stop_timeout: float | None = None) -> None:
        self._interval, self._stop_timeout = interval, stop_timeout
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(self._stop_timeout)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self.act()

    @abstractmethod
    def act(self) -> None:
        """Do what is due; an error ends the thread."""
