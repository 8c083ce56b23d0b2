"""Transactions of SQLite in the queue of its writers: no turn, no transaction, no harm."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from events import Database, transaction
from events.db_errors import unavailable_reason
from events.dispatch import dispatch
from events.errors import TransactionNotStarted
from tests.disks import Disk
from tests.events.sample import Mark, delivery, failed_attempts, marks, new_subscription, note, send
from tests.events.turns import held_by_another_thread, lock
from tests.servers import HANG


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
    thread.join(HANG)
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
