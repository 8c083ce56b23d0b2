"""Group commit: threads share a transaction, and a failure is that of one thread alone."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from events import Actor, Context, Database, acting, clock, current, gathered, reading
from events.audit_tables import AuditEntry
from events.errors import TransactionNotStarted
from events.group_commit import GroupCommit
from tests.servers import HANG, wait_until

THREADS = 6


def _note(target: str) -> Callable[[Session], str]:
    def write(session: Session) -> str:
        who = current().actor.user or "nobody"
        row = AuditEntry(at=clock.now(), who=who, action="test", target=target, why="")
        session.add(row)
        return target

    return write


def _noted() -> list[str]:
    with reading() as session:
        return sorted(session.scalars(select(AuditEntry.target)))


class Threads:
    """Threads that all wait for the one that commits first."""

    def __init__(self, database: Database) -> None:
        self.group, self.commits = GroupCommit(), 0
        self.at_once = database.dialect.groups_at_once
        self._pool = ThreadPoolExecutor(THREADS + self.at_once)
        event.listen(database.writer, "commit", self._count)

    def _count(self, _: object) -> None:
        self.commits += 1

    def submit(self, task: Callable[[], None]) -> "Future[None]":
        return self._pool.submit(task)

    def start(self, work: Callable[[Session], str], user: str = "") -> "Future[str]":
        def run() -> str:
            with acting(Context(actor=Actor(user=user or None))):
                return self.group.run(work)

        return self._pool.submit(run)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Keep the first transactions open until the block ends and every thread of it waits."""
        entered, leave = threading.Semaphore(0), threading.Event()

        def hold(session: Session) -> str:
            entered.release()
            leave.wait(HANG)
            return "first"

        first = []
        for _ in range(self.at_once):
            first.append(self.start(hold))
            assert entered.acquire(timeout=HANG)
        yield
        leave.set()
        assert [each.result(HANG) for each in first] == ["first"] * self.at_once


@pytest.fixture
def threads(any_database: Database) -> Threads:
    return Threads(any_database)


def _wait_for(threads: Threads, number: int) -> None:
    wait_until(lambda: len(threads.group._next.jobs) == number, what="the threads to wait")


def test_a_thread_alone_commits_at_once(threads: Threads) -> None:
    assert threads.group.run(_note("a")) == "a"

    assert _noted() == ["a"]


def test_threads_that_come_meanwhile_share_one_commit(threads: Threads) -> None:
    targets = [f"t{number}" for number in range(THREADS)]
    with threads.waiting():
        results = [threads.start(_note(target)) for target in targets]
        _wait_for(threads, THREADS)

    assert [each.result(HANG) for each in results] == targets
    assert _noted() == targets
    assert threads.commits == 1  # the first one wrote nothing


def test_a_thread_whose_group_is_committed_waits_for_no_later_group(threads: Threads) -> None:
    done: list[str] = []
    leave = threading.Event()

    def hold(session: Session) -> str:
        leave.wait(HANG)
        return ""

    def twice(target: str) -> None:
        done.append(threads.group.run(_note(target)))
        threads.group.run(hold)  # at once, so that it may come before the others have woken up

    targets = [f"t{number}" for number in range(THREADS)]
    with threads.waiting():
        ends = [threads.submit(partial(twice, target)) for target in targets]
        _wait_for(threads, THREADS)
    try:
        wait_until(lambda: sorted(done) == targets, what="the results of the group")
    finally:
        leave.set()
    for end in ends:
        end.result(HANG)


def test_each_work_runs_in_the_context_of_its_thread(threads: Threads) -> None:
    with threads.waiting():
        results = [threads.start(_note(user), user=user) for user in ("ada", "bob")]
        _wait_for(threads, 2)
    assert [each.result(HANG) for each in results] == ["ada", "bob"]

    with reading() as session:
        assert {row.target: row.who for row in session.scalars(select(AuditEntry))} == {
            "ada": "ada",
            "bob": "bob",
        }


def _fail(session: Session) -> str:
    _note("half")(session)
    session.flush()
    raise LookupError("no such thing")


def _break_a_rule(session: Session) -> str:
    session.add(AuditEntry(at=clock.now(), who="", action="test", target=None, why=""))
    return ""


def _gather_a_bad_row(session: Session) -> str:
    row = {"at": clock.now(), "who": "", "action": "test", "target": None, "why": ""}
    gathered.insert_rows(session, _insert, [row])
    return ""


def _insert(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    session.connection().execute(insert(AuditEntry), rows)


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (_fail, LookupError),
        (_break_a_rule, IntegrityError),
        (_gather_a_bad_row, IntegrityError),  # at the end of the group
    ],
)
def test_one_that_fails_fails_alone_and_leaves_nothing(
    threads: Threads, work: Callable[[Session], str], error: type[Exception]
) -> None:
    with threads.waiting():
        failing = threads.start(work)
        others = [threads.start(_note(target)) for target in ("a", "b")]
        _wait_for(threads, 3)

    assert [each.result(HANG) for each in others] == ["a", "b"]
    assert isinstance(failing.exception(HANG), error)
    assert _noted() == ["a", "b"]


def test_an_error_that_would_hit_each_of_them_is_raised_in_each_and_nothing_runs_twice(
    threads: Threads,
) -> None:
    runs: list[str] = []

    def refuse(session: Session) -> str:
        runs.append("refused")
        raise TransactionNotStarted("the database is locked")

    def count(session: Session) -> str:
        runs.append("counted")
        return _note("a")(session)

    with threads.waiting():
        results = [threads.start(work) for work in (count, refuse)]
        _wait_for(threads, 2)

    assert [type(each.exception(HANG)) for each in results] == [TransactionNotStarted] * 2
    assert (runs, _noted()) == (["counted", "refused"], [])
