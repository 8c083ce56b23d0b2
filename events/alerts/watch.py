"""The thread of a relay that looks at the rules of the alerts, apart from what the relay sends."""

import structlog
from sqlalchemy.exc import SQLAlchemyError

from events.alerts.evaluation import INTERVAL, evaluate
from events.db_errors import describe_error
from events.periodic import Periodic

logger = structlog.get_logger("tidings.alerts")

STOP_TIMEOUT = 5.0  # seconds that the end of the relay waits for a look


class AlertWatch(Periodic):
    """A thread that looks at the rules at each interval, the first time after one.

    Until then a relay that was away has caught up, if it can.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        super().__init__("alerts", interval, stop_timeout=STOP_TIMEOUT)
        self._failed = ""

    def act(self) -> None:
        """Look at the rules; an error is logged once while it lasts."""
        try:
            evaluate()
            self._failed = ""
        except Exception as error:  # the next look must come, whatever it is
            known = isinstance(error, SQLAlchemyError)
            detail = describe_error(error) if known else repr(error)[:500]
            if detail != self._failed:
                logger.error("alerts.not_evaluated", detail=detail)
            self._failed = detail
