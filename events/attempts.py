"""Attempts: one row for each failed attempt of a delivery, and its fingerprint."""

import traceback
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from events import counts
from events.db_errors import sanitize_text
from events.tables import Attempt, Delivery

MAX_MESSAGE, MAX_TRACEBACK = 10_000, 100_000  # characters


@dataclass(frozen=True)
class Failure:
    """One failed attempt: the error, the worker, when it started and how many seconds it took."""

    error: BaseException
    worker: str
    started_at: datetime
    took: float = 0.0
    where: str = field(default="", kw_only=True)
    dependency: str | None = field(default=None, kw_only=True)  # that the error says is down

    @property
    def error_type(self) -> str:
        """The name of the error's class."""
        return type(self.error).__name__

    @property
    def message(self) -> str:
        """The error's message, as far as its class can give one."""
        try:
            return sanitize_text(str(self.error), MAX_MESSAGE)
        except Exception:
            return f"{self.error_type} has no readable message"

    @property
    def traceback(self) -> str:
        """The error with its causes and their lines, as far as its class lets it be formatted."""
        try:
            lines = traceback.format_exception(self.error)
        except Exception:  # such as a `SyntaxError` whose text is none
            lines = traceback.format_tb(self.error.__traceback__)
            lines.append(f"{self.error_type}: {self.message}\n")
        return sanitize_text("".join(lines), MAX_TRACEBACK)

    @property
    def fingerprint(self) -> str:
        """The error's class and its innermost line: equal for one cause, free of anybody's data."""
        return f"{self.error_type} {self.where or innermost_line(self.error)}".strip()[:300]


def innermost_line(error: BaseException) -> str:
    """Return `folder/file.py:line function` where `error` was raised, in our code if possible."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)] or list(frames)
    if not own:
        return ""
    return f"{'/'.join(Path(own[-1].filename).parts[-2:])}:{own[-1].lineno} {own[-1].name}"


def _is_library(filename: str) -> bool:
    return "site-packages" in filename or "/lib/python" in filename


def record(session: Session, row: Delivery, failure: Failure) -> None:
    """Write the attempt of a delivery whose row counts it already, and has its new state."""
    session.execute(
        insert(Attempt).values(
            subscription=row.subscription,
            event_id=row.event_id,
            number=row.attempts,
            send=row.sends,
            task_id=row.message,
            started_at=failure.started_at,
            took=failure.took,
            worker=failure.worker,
            error_type=failure.error_type[:200],
            message=failure.message,
            traceback=failure.traceback,
        )
    )
    counts.note_failure(session, row.subscription, dead=row.died_at is not None)


def latest_end(session: Session, subscription: str, event_id: UUID) -> datetime | None:
    """Return the time at which the latest failed attempt of a delivery ended, if there is one."""
    found = select(Attempt.started_at, Attempt.took).order_by(Attempt.id.desc()).limit(1)
    ours = found.where(Attempt.event_id == event_id, Attempt.subscription == subscription)
    row = session.execute(ours).one_or_none()
    return None if row is None else row.started_at + timedelta(seconds=row.took)
