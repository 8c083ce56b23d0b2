"""Group commit: small transactions of several threads become one.

A commit waits for the disk and, on SQLite, for the only write lock. The first thread commits at
once; those that come meanwhile are the next group, of which PostgreSQL has two at a time. There is
no timer, so a thread alone never waits. (DeWitt et al., "Implementation Techniques for Main Memory
Database Systems", SIGMOD 1984.)
"""

from collections.abc import Callable
from contextvars import Context, copy_context
from threading import Lock, Semaphore
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from events.database import database, transaction
from events.db_errors import is_transient
from events.dialects import DIALECTS
from events.gathered import gathering

T = TypeVar("T")


class _Job(Generic[T]):
    """The work of one thread, the context to do it in, and its outcome."""

    def __init__(self, work: Callable[[Session], T]) -> None:
        self.work = work
        self.context: Context = copy_context()
        self.results: list[T] = []  # one, if its group was committed
        self.error: Exception | None = None

    def do(self, session: Session) -> T:
        result = self.context.run(self.work, session)
        session.flush()  # the next one of the group must see it
        return result


class _Group:
    """The threads that share a transaction; the first that has the lock commits for all."""

    def __init__(self) -> None:
        self.jobs: list[_Job[object]] = []
        self.lock = Lock()
        self.is_over = False


class GroupCommit:
    """A way for the threads of a process to share transactions."""

    def __init__(self) -> None:
        self._next = _Group()
        self._joining = Lock()
        self._turns = {name: Semaphore(each.groups_at_once) for name, each in DIALECTS.items()}

    def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction and return its result when that is committed.

        Raises the error of `work`. The works of a group in which one fails are each run again, in a
        transaction of their own, so `work` must change nothing but the database.
        """
        job = _Job(work)
        with self._joining:
            group = self._next
            group.jobs.append(job)  # type: ignore[arg-type]
        # Not the lock that the next group takes: a lock of Python serves nobody in turn, and a
        # thread whose group was committed waited on for that of several groups that came later.
        with group.lock:
            if not group.is_over:
                self._commit(group)
        if job.error is not None:
            raise job.error
        if job.results:
            return job.results[0]
        with transaction() as session:
            return work(session)

    def _commit(self, group: _Group) -> None:
        with self._turns[database().dialect.name]:
            with self._joining:
                self._next = _Group()
            group.is_over = True
            _commit(group.jobs)


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
