"""The size of a slice of bulk work: as many rows as hold the write lock for a moment."""

import time

from sqlalchemy.orm import Session

TARGET = 0.05  # seconds that a slice may hold the write lock
FIRST_ROWS, MIN_ROWS = 100, 10


class SliceSize:
    """The number of rows of the next slice, from the time that those before took."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows = min(FIRST_ROWS, most)

    def begin(self, session: Session) -> float:
        """Take the lock of a slice and return the time: to wait for it is not the slice's time."""
        session.connection()
        return time.monotonic()

    def end(self, rows: int, began: float) -> None:
        """Learn from a slice of so many rows, once it is committed."""
        self.learn(rows, time.monotonic() - began)

    def learn(self, rows: int, seconds: float) -> None:
        """Set the size after a slice: at most twice the last one, and less if it took too long."""
        fits = int(rows * TARGET / seconds) if seconds > 0 else self._most
        if rows >= self.rows or fits < self.rows:  # a rest that was quick says nothing
            self.rows = max(min(MIN_ROWS, self._most), min(fits, 2 * self.rows, self._most))
