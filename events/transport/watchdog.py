"""The time limit for the pools in which Celery enforces none, and an end for handlers that exit.

A thread cannot be stopped from outside, so the whole worker process exits, and is started again by
its supervisor. Otherwise a handler that never returns would occupy its thread for ever; so would
one that raises `SystemExit`, of which Celery's other pools lose track.
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

from events.settings import settings
from events.transport.request import TIME_LIMIT_EXCEEDED, report_crash

logger = structlog.get_logger("tidings.transport")

_CHECK_INTERVAL = 0.5  # seconds
_EXIT_DELAY = 5.0  # seconds beyond the limit until a worker exits whose watchdog cannot run

# Short, because a handler that hangs within its transaction holds SQLite's only write lock.
_REPORT_TIMEOUT = 2.0  # seconds


@dataclass(frozen=True)
class RunningTask:
    """The task of one thread, and its start by the monotonic clock."""

    subscription: str
    event_ids: Sequence[UUID]
    worker: str
    started: float


_running: dict[int, RunningTask] = {}
_active = threading.Event()
_limit = 0.0  # seconds; of the watchdog, once it is active


class HandlerExited(Exception):
    """A handler raised `SystemExit` or the like; its deliveries are sent again as suspects."""


@contextmanager
def time_limited(subscription: str, event_ids: Sequence[UUID], worker: str) -> Iterator[None]:
    """Put the block, which this thread runs, under the watchdog's time limit."""
    thread = threading.get_ident()
    if _active.is_set() and not _running:
        _exit_later(_limit)
    _running[thread] = RunningTask(subscription, event_ids, worker, time.monotonic())
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if not _active.is_set():  # a prefork child ends by it, and its parent reports the crash
            raise
        reason = f"it raised {type(error).__name__}"
        report_crash(subscription, event_ids, worker=worker, reason=reason)
        raise HandlerExited(reason) from error
    finally:
        del _running[thread]


class TimeLimitWatchdog(StartStopStep):
    """A thread that ends the worker when one of its tasks exceeds the time limit."""

    requires = (Pool,)

    def include_if(self, worker: Any) -> bool:
        """Return false for the prefork pool, which enforces the limit itself."""
        return not issubclass(worker.pool_cls, TaskPool)

    def start(self, worker: Any) -> None:
        """Start the thread. It runs until the process ends, also while the worker shuts down."""
        global _limit
        _limit = settings().task_time_limit
        _active.set()
        threading.Thread(
            target=self._watch, args=(_limit,), name="time-limit-watchdog", daemon=True
        ).start()

    def _watch(self, limit: float) -> None:
        while True:
            time.sleep(_CHECK_INTERVAL)
            if _running:
                _exit_later(limit)
            else:  # an ordinary task has the limits of Celery, which are none here
                faulthandler.cancel_dump_traceback_later()
            for thread, task in list(_running.items()):
                if time.monotonic() - task.started > limit:
                    self._end_worker(thread, task, limit)

    def _end_worker(self, thread: int, task: RunningTask, limit: float) -> None:
        logger.critical(
            "worker.time_limit",
            task=task.subscription,
            limit=limit,
            where=_current_line(thread),
            note="ending this worker",
        )
        report = threading.Thread(
            target=report_crash,
            args=(task.subscription, task.event_ids),
            kwargs={"worker": task.worker, "reason": TIME_LIMIT_EXCEEDED},
            daemon=True,
        )
        report.start()
        report.join(_REPORT_TIMEOUT)
        os._exit(1)  # sys.exit would wait for the thread that does not return


def _exit_later(limit: float) -> None:
    """End the process a while after the limit, unless this is called again before.

    A C timer that needs no GIL: a handler that never releases it, in a regular expression for
    example, keeps the watchdog's thread from running.
    """
    faulthandler.dump_traceback_later(limit + _EXIT_DELAY, exit=True, file=2)


def _current_line(thread: int) -> str:
    frame = sys._current_frames().get(thread)
    if frame is None:
        return ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
