"""The heartbeat of a relay whose loop is held up, by a broker that does not answer for example."""

import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from events import heartbeat
from events.db_errors import describe_error
from events.periodic import Periodic

logger = structlog.get_logger("tidings.relay")

CHECK_INTERVAL = 1.0  # seconds
HELD_UP_AFTER = heartbeat.INTERVAL + 1.0  # seconds since the loop's own heartbeat
GIVEN_UP_AFTER = 120.0  # seconds since then; a relay that is stuck for ever must look dead


class Keepalive(Periodic):
    """A thread that beats in place of the loop, while that is held up for a while.

    `beat` records a heartbeat; `last_beat` returns the monotonic time of the loop's latest one.
    """

    def __init__(self, beat: Callable[[], None], last_beat: Callable[[], float]) -> None:
        super().__init__("keepalive", CHECK_INTERVAL)
        self._beat, self._last_beat = beat, last_beat
        self._beaten = 0.0

    def act(self) -> None:
        """Beat if the loop is held up."""
        now = time.monotonic()
        silence = now - self._last_beat()
        if HELD_UP_AFTER < silence < GIVEN_UP_AFTER and now - self._beaten >= heartbeat.INTERVAL:
            self._beaten = now
            try:
                self._beat()
            except SQLAlchemyError as error:
                logger.warning("heartbeat.missed", detail=describe_error(error))
