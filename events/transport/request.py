"""The requests of the tasks: none ends the worker, and that of a delivery tells the ledger of the
death of the child process which ran it.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]  # not in the stubs
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from sqlalchemy.exc import SQLAlchemyError

from events import suspects
from events.database import transaction
from events.db_errors import describe_error

logger = structlog.get_logger("tidings.transport")

# The reasons complete the sentence "started 3 times, ... each time".
PROCESS_DIED = "its process died"
TIME_LIMIT_EXCEEDED = "it took longer than its time limit"


def report_crash(subscription: str, event_ids: Sequence[UUID], *, worker: str, reason: str) -> None:
    """Report to the ledger that the process which handled these deliveries died.

    The transport's one entry to the rule in `events.suspects`. If the database does not take it,
    the lease finds the deliveries later.
    """
    try:
        with transaction() as session:
            suspects.report_crash(session, subscription, event_ids, worker=worker, why=reason)
    except SQLAlchemyError as error:
        logger.error(
            "crash.not_recorded", task=subscription, reason=reason, detail=describe_error(error)
        )


class OutOfMemory(Exception):
    """A `MemoryError` of a task, under a name by which Celery does not end the worker."""


class TaskRequest(Request):
    """A request whose task may lack memory: that is a failure of the task.

    Celery raises a `MemoryError` of a child in the parent again, which ends all its children; a
    message that is acknowledged late then ends the next worker.
    """

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """Give the error another name; the result that the child has stored keeps its own."""
        error = _raised(exc_info)
        if isinstance(error, MemoryError):
            exc_info.exception = OutOfMemory(f"{type(error).__name__}: {error}")
        super().on_failure(exc_info, send_failed_event, return_ok)


def _raised(exc_info: Any) -> BaseException:
    error: BaseException = exc_info.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


class LedgerRequest(TaskRequest):
    """A request that reports a crash or an exceeded hard time limit to the ledger."""

    _already_cancelled: bool
    _already_revoked: bool

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """Report the crash before Celery requeues the message; the copy finds nothing to claim."""
        error = _raised(exc_info)
        killed = isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt) and not (
            self._already_cancelled or self._already_revoked
        )
        timed_out = isinstance(error, TimeLimitExceeded)
        if timed_out:
            self._kill_child()
        if (killed or timed_out) and not self.acknowledged:
            report_crash(
                self.name,
                [UUID(event_id) for event_id in self.args[0]],
                worker=self.hostname,
                reason=TIME_LIMIT_EXCEEDED if timed_out else PROCESS_DIED,
            )
        super().on_failure(exc_info, send_failed_event, return_ok)

    def _kill_child(self) -> None:
        """Kill the child now.

        The pool would do so a moment later, and until then the child may hold the lock that the
        report needs.
        """
        pid: Any = self.worker_pid  # a str according to the stubs
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
