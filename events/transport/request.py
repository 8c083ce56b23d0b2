"""A request of Celery's that tells the ledger when the child process which ran it died."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]  # the stubs are older than Celery 5.7
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from sqlalchemy.exc import SQLAlchemyError

from events import suspects
from events.database import transaction
from events.db_errors import describe_error

logger = structlog.get_logger("tidings.transport")


OVERTIME = "it took longer than its time limit"


def count(subscription: str, ids: Sequence[UUID], worker: str, why: str) -> None:
    """Tell the ledger that the process which handled these died. If that is not possible, the lease will tell."""
    try:
        with transaction() as session:
            suspects.report_crash(session, subscription, ids, worker=worker, why=why)
    except SQLAlchemyError as error:
        logger.error("crash.uncounted", task=subscription, why=why, detail=describe_error(error))


class LedgerRequest(Request):
    """Tells the ledger when the process that ran this message died or had to be killed."""

    _already_cancelled: bool
    _already_revoked: bool

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """Count the crash before Celery gives the message back; the copy then finds nothing to claim."""
        error = exc_info.exception
        error = error.exc if isinstance(error, ExceptionWithTraceback) else error
        killed = isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt) and not (
            self._already_cancelled or self._already_revoked
        )
        overtime = isinstance(error, TimeLimitExceeded)
        if overtime:
            self._kill()
        if (killed or overtime) and not self.acknowledged:
            count(
                self.name,
                [UUID(id) for id in self.args[0]],
                self.hostname,
                OVERTIME if overtime else "its process died",
            )
        super().on_failure(exc_info, send_failed_event, return_ok)

    def _kill(self) -> None:
        """End the child now. The pool would do so a moment later, and till then the child may hold the lock that counting takes."""
        pid: Any = self.worker_pid  # the stubs take it for a text
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
