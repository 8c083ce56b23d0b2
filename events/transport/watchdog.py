"""What the prefork pool does for its children, for pools that have none: the time limit, and an end for what is no `Exception`.

A thread cannot be ended from outside, so its whole worker ends and is started anew. Otherwise one handler that never returns would
hold its place for ever; and so would one that raises SystemExit, of which Celery's other pools lose sight.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from celery.bootsteps import StartStopStep
from celery.concurrency.prefork import TaskPool
from celery.worker.components import Pool

from events.transport.request import OVERTIME, count

logger = structlog.get_logger("tidings.transport")

_LOOK = 0.5  # seconds between two looks
_GRACE = 5.0  # seconds beyond the limit until a worker ends that cannot even look
_LAST_WORDS = 2.0  # seconds to count the crash in; a handler that hangs within its transaction on SQLite holds the only write lock


@dataclass(frozen=True)
class Running:
    """What one thread is at since a moment of the monotonic clock."""

    subscription: str
    ids: Sequence[UUID]
    worker: str
    since: float


_running: dict[int, Running] = {}
_watching = threading.Event()


class Escaped(Exception):
    """A handler raised what is no `Exception`; its deliveries are sent again, each alone and counted."""


@contextmanager
def watched(subscription: str, ids: Sequence[UUID], worker: str) -> Iterator[None]:
    """Let the watch know that this thread runs a task."""
    here = threading.get_ident()
    _running[here] = Running(subscription, ids, worker, time.monotonic())
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if not _watching.is_set():  # in a prefork pool it ends the child, and its parent counts
            raise
        why = f"it raised {type(error).__name__}"
        count(subscription, ids, worker, why)
        raise Escaped(why) from error
    finally:
        del _running[here]


class TimeLimitWatchdog(StartStopStep):
    """Ends a worker when one of its tasks takes longer than the time limit. What it held is sent again, and its start counted."""

    requires = (Pool,)

    def include_if(self, worker: Any) -> bool:
        """Only where the pool does not see to it."""
        return not issubclass(worker.pool_cls, TaskPool)

    def start(self, worker: Any) -> None:
        """Begin to watch. It goes on while the worker drains, until the process ends."""
        _watching.set()
        threading.Thread(
            target=self._watch, args=(float(worker.time_limit),), name="overtime", daemon=True
        ).start()

    def _watch(self, limit: float) -> None:
        while True:
            time.sleep(_LOOK)
            # Runs without Python's lock: a handler that never lets go of it, in a regular expression say, keeps this thread from looking.
            faulthandler.dump_traceback_later(limit + _GRACE, exit=True, file=2)
            for thread, each in list(_running.items()):
                if time.monotonic() - each.since > limit:
                    self._end(thread, each, limit)

    def _end(self, thread: int, running: Running, limit: float) -> None:
        frame = sys._current_frames().get(thread)
        where = (
            f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}" if frame else ""
        )
        logger.critical(
            "worker.overtime",
            task=running.subscription,
            limit=limit,
            where=where,
            note="ending this worker",
        )
        counting = threading.Thread(
            target=count,
            args=(running.subscription, running.ids, running.worker, OVERTIME),
            daemon=True,
        )
        counting.start()
        counting.join(_LAST_WORDS)
        os._exit(1)  # nothing gentler ends a thread that does not come back
