"""A prefork pool that loses neither its start to a dead child nor its end to an unread result."""

from typing import Any, Final

from billiard.connection import wait
from billiard.pool import TERMINATE
from celery.concurrency import asynpool, prefork

POLL: Final = 0.05  # seconds; the end of a child is not readable


class ResultHandler(asynpool.ResultHandler):
    """A reader of the results that stays until every child has ended.

    A worker that stops forgets the tasks that no child has acknowledged, although a child may have
    just got one. Celery's reader stops when all others are finished. That child then waits half a
    minute for somebody to read its result (billiard's `_ensure_messages_consumed`): under load, two
    of 25 restarts of ten workers took 38 seconds instead of 10. Every other child waits a second.
    """

    _state: Any
    _flush_outqueue: Any
    fileno_to_outq: Any
    on_state_change: Any

    def on_stop_not_started(self) -> None:
        """Read until every child has ended."""
        super().on_stop_not_started()
        children = dict(self.fileno_to_outq)
        while self._state != TERMINATE:
            readers = [each.outq._reader for each in children.values() if each._is_alive()]
            if not readers:
                return
            for reader in wait(readers, POLL):
                self._flush_outqueue(reader.fileno(), children.pop, children, self.on_state_change)


class AsynPool(asynpool.AsynPool):
    """Celery's pool with the reader above."""

    ResultHandler = ResultHandler


class TaskPool(prefork.TaskPool):
    """Celery's pool. It ends the whole worker if a child is dead when the start is checked.

    A child that is killed at that moment, for its memory or by an operator, is one crash as at any
    other time. Children that die again and again end the worker all the same: billiard counts them.
    """

    Pool = AsynPool
    _pool: Any

    def did_start_ok(self) -> bool:
        """Replace the children that died, and return true."""
        self._pool.maintain_pool()
        return True
