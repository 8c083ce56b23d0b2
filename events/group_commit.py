"""Group commit: small transactions of several threads become one.

A commit waits for the disk and, on SQLite, for the only write lock. The first thread commits at
once; those that come meanwhile are the next group. There is no timer, so a thread alone never
waits. (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.)
"""

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from events.database import transaction
from events.db_errors import is_transient
from events.gathered import gathering

T = TypeVar("T")


class _Job(Generic[T]):
    """The work of one thread, the context to do it in, and its outcome."""

    def __init__(self, work: Callable[[Session], T]) -> None:
        self.work = work
        self.context: Context = copy_context()
        self.is_over = False
        self.results: list[T] = []  # one, if its group was committed
        self.error: Exception | None = None

    def do(self, session: Session) -> T:
        result = self.context.run(self.work, session)
        session.flush()  # the next one of the group must see it
        return result


class GroupCommit:
    """A way for the threads of a process to share transactions."""

    def __init__(self) -> None:
        self._waiting: deque[_Job[object]] = deque()
        self._turn = Lock()

    def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction and return its result when that is committed.

        Raises the error of `work`. The works of a group in which one fails are each run again, in a
        transaction of their own, so `work` must change nothing but the database.
        """
        job = _Job(work)
        self._waiting.append(job)  # type: ignore[arg-type]
        with self._turn:
            if not job.is_over:
                _commit([self._waiting.popleft() for _ in range(len(self._waiting))])
        if job.error is not None:
            raise job.error
        if job.results:
            return job.results[0]
        with transaction() as session:
            return work(session)


def _commit(group: list[_Job[object]]) -> None:
    try:
        with transaction() as session, gathering(session, len(group)):
            results = [job.do(session) for job in group]
    except Exception as error:
        if len(group) == 1 or is_transient(error):  # it would hit each of them again
            for job in group:
                job.error = error
    else:
        for job, result in zip(group, results, strict=True):
            job.results.append(result)
    finally:
        for job in group:
            job.is_over = True
