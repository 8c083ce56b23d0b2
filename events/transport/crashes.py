"""A request of Celery's that tells the ledger when the child process which ran it died."""

from typing import Any
from uuid import UUID

import structlog
from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]  # the stubs are older than Celery 5.7
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from sqlalchemy.exc import SQLAlchemyError

from events import ledger
from events.database import in_words, transaction

logger = structlog.get_logger("tidings.transport")


class CrashCounting(Request):
    """Tells the ledger when the process that ran this message died or had to be killed."""

    _already_cancelled: bool
    _already_revoked: bool

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Count the crash before Celery gives the message back; the copy then finds nothing to claim."""
        error = exc_info.exception
        error = error.exc if isinstance(error, ExceptionWithTraceback) else error
        killed = isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt) and not (
            self._already_cancelled or self._already_revoked
        )
        if (killed or isinstance(error, TimeLimitExceeded)) and not self.acknowledged:
            self._count("it took longer than its time limit" if isinstance(error, TimeLimitExceeded) else "its process died")
        super().on_failure(exc_info, send_failed_event, return_ok)

    def _count(self, why: str) -> None:
        try:
            with transaction() as session:
                ledger.crash(session, self.name, [UUID(id) for id in self.args[0]], worker=self.hostname, why=why)
        except SQLAlchemyError as error:
            logger.error("crash.uncounted", task=self.name, why=why, detail=in_words(error))
