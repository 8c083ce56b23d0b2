"""The queue of SQLite's writers: in turn, urgent ones first, and never left locked."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from events import Database, transaction
from events.db_errors import unavailable_reason
from events.dialects.write_lock import BLOCKING_FROM, WriteLock
from events.dispatch import dispatch
from events.errors import TransactionNotStarted
from tests.disks import Disk
from tests.events.sample import Mark, delivery, failed_attempts, marks, new_subscription, note, send

PATIENT = 30.0  # seconds of patience; such a writer sleeps in the kernel's queue
HOLDER = """
import sys, time
from events.dialects.write_lock import WriteLock
turn = WriteLock(sys.argv[1], 30.0, urgent=False).acquire()
print("held", flush=True)
time.sleep(60)
"""
COUNTER = """
import sys, time
from events.dialects.write_lock import WriteLock
lock, count = WriteLock(sys.argv[1], 30.0, urgent=False), 0
end = time.monotonic() + 2.0
while time.monotonic() < end:
    turn = lock.acquire()
    time.sleep(0.002)  # a short transaction
    turn.release()
    count += 1
print(count)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The path of a database file that need not be there."""
    return str(tmp_path / "tidings.sqlite")


def lock(path: str, *, timeout: float = PATIENT, urgent: bool = False) -> WriteLock:
    """Return the lock of a writer."""
    return WriteLock(path, timeout, urgent=urgent)


@contextmanager
def process(program: str, path: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a process of its own, and kill it at the end."""
    command = [sys.executable, "-c", program, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def waiting(work: Callable[[], None]) -> threading.Thread:
    """Run `work` in a thread of its own, and give it the time to wait for the lock."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    return thread


def held_by_another_thread(path: str, seconds: float) -> threading.Thread:
    """Let another thread have the turn for so long."""
    has_it = threading.Event()

    def hold() -> None:
        turn = lock(path).acquire()
        assert turn is not None
        has_it.set()
        time.sleep(seconds)
        turn.release()

    thread = threading.Thread(target=hold)
    thread.start()
    assert has_it.wait(10)
    return thread


def test_a_writer_waits_until_the_one_before_it_has_released_its_turn(path: str) -> None:
    holder = held_by_another_thread(path, 0.3)
    began = time.monotonic()
    turn = lock(path).acquire()
    waited = time.monotonic() - began
    holder.join()

    assert turn is not None
    assert waited > 0.2
    turn.release()


def test_writers_of_several_processes_get_about_as_many_turns(path: str) -> None:
    commands = [[sys.executable, "-c", COUNTER, path]] * 4
    writers = [subprocess.Popen(each, stdout=subprocess.PIPE, text=True) for each in commands]
    counts = [int(each.communicate(timeout=60)[0]) for each in writers]

    # They start and end one after the other, so the first have some turns to themselves.
    assert min(counts) > max(counts) / 4, counts


def test_an_urgent_writer_goes_before_all_patient_ones_but_one(path: str) -> None:
    order: list[str] = []

    def write(name: str, *, urgent: bool) -> None:
        turn = lock(path, urgent=urgent).acquire()
        assert turn is not None
        order.append(name)
        turn.release()

    first = lock(path).acquire()
    assert first is not None
    patient = [waiting(lambda: write("patient", urgent=False)) for _ in range(5)]
    urgent = waiting(lambda: write("urgent", urgent=True))
    first.release()
    for thread in (*patient, urgent):
        thread.join(10)

    assert sorted(order) == ["patient"] * 5 + ["urgent"]
    assert order.index("urgent") <= 1


def test_the_turn_of_a_killed_process_is_free(path: str) -> None:
    with process(HOLDER, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert lock(path, timeout=0.05).acquire() is None
        holder.kill()
        turn = lock(path).acquire()

    assert turn is not None
    turn.release()


def test_a_thread_that_has_the_turn_does_not_wait_for_itself(path: str) -> None:
    turn = lock(path).acquire()
    assert turn is not None
    began = time.monotonic()
    again = lock(path).acquire()
    assert (again, time.monotonic() - began < 1) == (None, True)
    turn.release()
    after = lock(path, timeout=0.05).acquire()

    assert after is not None
    after.release()


@pytest.mark.parametrize("urgent", [False, True])
def test_a_writer_with_little_patience_gives_up(urgent: bool, path: str) -> None:
    holder = held_by_another_thread(path, 0.5)
    began = time.monotonic()
    turn = lock(path, timeout=0.1, urgent=urgent).acquire()
    waited = time.monotonic() - began
    holder.join()

    assert turn is None
    assert 0.1 <= waited < 0.4
    after = lock(path, timeout=0.1, urgent=urgent).acquire()
    assert after is not None  # it left nothing locked behind
    after.release()


def test_a_transaction_that_gave_up_its_turn_gets_the_error_of_sqlite(database: Database) -> None:
    impatient = Database(str(database.url), lock_timeout=0.1)
    with database.transaction() as session:
        session.add(Mark(what="a"))
        session.flush()
        error = in_a_thread(lambda: write(impatient))
    impatient.close()

    assert isinstance(error, OperationalError)
    assert "database is locked" in str(error)


def write(database: Database) -> None:
    """Write a row in a transaction."""
    with database.transaction() as session:
        session.add(Mark(what="b"))


def in_a_thread(work: Callable[[], None]) -> BaseException | None:
    """Run `work` in a thread of its own; return its error."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    return errors[0] if errors else None


def test_on_a_disk_that_became_read_only_the_error_is_that_of_sqlite(
    disk: Disk, sqlite_template: Path
) -> None:
    file = disk.folder / "tidings.sqlite"
    file.write_bytes(sqlite_template.read_bytes())
    disk.seal()
    database = Database(f"sqlite:///{file}")
    assert lock(str(file), timeout=0.1).acquire() is None
    with pytest.raises(OperationalError) as raised:
        write(database)
    database.close()

    reason = unavailable_reason(raised.value) or ""
    assert reason.startswith("it is read-only") or "cannot be opened" in reason


def test_on_a_full_disk_the_error_is_that_of_sqlite(disk: Disk, sqlite_template: Path) -> None:
    file = disk.folder / "tidings.sqlite"
    file.write_bytes(sqlite_template.read_bytes())
    disk.fill()
    database = Database(f"sqlite:///{file}")
    with pytest.raises(OperationalError) as raised:
        write(database)
    database.close()

    assert unavailable_reason(raised.value) is not None


class SoftTimeLimit(Exception):
    """An error raised from a signal, as Celery's soft time limit is."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `SoftTimeLimit` in this thread after so many seconds."""

    def stop(*_: object) -> None:
        raise SoftTimeLimit

    before = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(
        seconds, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    )
    timer.start()
    try:
        yield
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_time_limit_ends_the_wait_and_leaves_nothing_locked(database: Database) -> None:
    path = database.url.database or ""
    assert PATIENT >= BLOCKING_FROM
    holder = held_by_another_thread(path, 0.6)
    with time_limit(0.2), pytest.raises(TransactionNotStarted, match="SoftTimeLimit while waiting"):
        write(database)
    assert holder.is_alive()
    holder.join()

    write(database)
    assert marks() == {"b": 1}


def test_a_time_limit_during_the_wait_for_a_turn_costs_no_attempt(database: Database) -> None:
    note("a")
    [message] = send(new_subscription())
    holder = held_by_another_thread(database.url.database or "", 0.6)
    with time_limit(0.2):
        report = dispatch(new_subscription(), message.event_ids, worker="w")
    holder.join()

    assert str(report) == "retrying: database: TransactionNotStarted"
    assert (delivery().attempts, delivery().sent_at, failed_attempts()) == (0, None, [])


def test_a_transaction_that_is_rolled_back_releases_its_turn(database: Database) -> None:
    with transaction() as session:
        session.add(Mark(what="a"))
        session.flush()
        session.rollback()
    turn = lock(database.url.database or "", timeout=0.1).acquire()

    assert turn is not None
    turn.release()


def test_while_many_patient_processes_write_an_urgent_one_waits_for_two_of_them_at_most(
    database: Database,
) -> None:
    # A transaction of 50 ms each: in turn with four others it would wait 200 ms.
    stop, begun, path = threading.Event(), threading.Event(), database.url.database or ""

    def write_all_the_time() -> None:
        while not stop.is_set():
            turn = lock(path).acquire()
            assert turn is not None
            begun.set()
            time.sleep(0.05)
            turn.release()

    writers = [threading.Thread(target=write_all_the_time) for _ in range(5)]
    for writer in writers:
        writer.start()
    waits = []
    try:
        assert begun.wait(10)
        for _ in range(11):
            began = time.monotonic()
            turn = lock(path, urgent=True).acquire()
            waits.append(time.monotonic() - began)
            assert turn is not None
            turn.release()
            time.sleep(0.01)
    finally:
        stop.set()
        for writer in writers:
            writer.join(10)

    assert sorted(waits)[5] < 0.15, waits
