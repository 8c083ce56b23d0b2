"""The thread of a relay that looks at the rules of the alerts, apart from what the relay sends."""

import threading
from types import TracebackType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from events.alerts.evaluation import INTERVAL, evaluate
from events.db_errors import describe_error

logger = structlog.get_logger("tidings.alerts")

STOP_TIMEOUT = 5.0  # seconds that the end of the relay waits for a look


class AlertWatch:
    """A thread that looks at the rules at each interval, the first time after one.

    Until then a relay that was away has caught up, if it can.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def __enter__(self) -> "AlertWatch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        failed = ""
        while not self._stop.wait(self._interval):
            try:
                evaluate()
                failed = ""
            except Exception as error:  # the next look must come, whatever it is
                known = isinstance(error, SQLAlchemyError)
                detail = describe_error(error) if known else repr(error)[:500]
                if detail != failed:
                    logger.error("alerts.not_evaluated", detail=detail)
                failed = detail
