"""The heartbeat of a relay whose loop is held up, by a broker that does not answer for example."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from events import heartbeat
from events.db_errors import describe_error

logger = structlog.get_logger("tidings.relay")

CHECK_INTERVAL = 1.0  # seconds
HELD_UP_AFTER = heartbeat.INTERVAL + 1.0  # seconds since the loop's own heartbeat
GIVEN_UP_AFTER = 120.0  # seconds since then; a relay that is stuck for ever must look dead


class Keepalive:
    """A thread that beats in place of the loop, while that is held up for a while.

    `beat` records a heartbeat; `last_beat` returns the monotonic time of the loop's latest one.
    """

    def __init__(self, beat: Callable[[], None], last_beat: Callable[[], float]) -> None:
        self._beat, self._last_beat = beat, last_beat
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keepalive", daemon=True)

    def __enter__(self) -> "Keepalive":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        beaten = 0.0
        while not self._stop.wait(CHECK_INTERVAL):
            now = time.monotonic()
            silence = now - self._last_beat()
            if HELD_UP_AFTER < silence < GIVEN_UP_AFTER and now - beaten >= heartbeat.INTERVAL:
                beaten = now
                try:
                    self._beat()
                except SQLAlchemyError as error:
                    logger.warning("heartbeat.missed", detail=describe_error(error))
