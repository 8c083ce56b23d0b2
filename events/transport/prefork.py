"""A prefork pool that replaces a child which dies while its worker starts."""

from typing import Any

from celery.concurrency import prefork


class TaskPool(prefork.TaskPool):
    """Celery's pool. It ends the whole worker if a child is dead when the start is checked.

    A child that is killed at that moment, for its memory or by an operator, is one crash as at any
    other time. Children that die again and again end the worker all the same: billiard counts them.
    """

    _pool: Any

    def did_start_ok(self) -> bool:
        """Replace the children that died, and return true."""
        self._pool.maintain_pool()
        return True
