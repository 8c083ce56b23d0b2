"""The column types of the declarative base, and its inserts that race with each other."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, Database, publish, reading, transaction
from events.dispatch import dispatch
from events.orm import get_or_create_locked, insert_if_absent, insert_or_lock, upsert
from events.tables import LogEntry
from events.testing import ManualClock
from tests.events.sample import Noted, deliveries, new_subscription, note, send
from tests.servers import HANG


class Tally(Base):
    """A count by name."""

    __tablename__ = "sample_tallies"

    name: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]


def tallies() -> dict[str, int]:
    """Return every count by its name."""
    with reading() as session:
        return {row.name: row.count for row in session.scalars(select(Tally))}


def race(*contestants: Callable[[], None]) -> list[BaseException]:
    """Run each in a thread of its own, all from the same moment; return their errors."""
    start, errors = threading.Barrier(len(contestants)), []

    def run(contestant: Callable[[], None]) -> None:
        try:
            start.wait(HANG)
            contestant()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in contestants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert not any(thread.is_alive() for thread in threads)
    return errors


def count_up() -> None:
    """Count each of ten names up by one, each in a transaction of its own."""
    for number in range(10):
        with transaction() as session:
            get_or_create_locked(session, Tally, f"t{number}", count=0).count += 1


def test_a_datetime_without_a_time_zone_is_refused(
    any_database: Database, time: ManualClock
) -> None:
    with pytest.raises(Exception, match="has no time zone"), transaction() as session:
        publish(session, Noted(text="x"), at=time().replace(tzinfo=None))


def test_every_datetime_is_returned_in_utc(any_database: Database, time: ManualClock) -> None:
    note("x")

    with reading() as session:
        row = session.scalars(select(LogEntry)).one()
    assert row.time == time()
    assert row.time.utcoffset() == timedelta(0)


def test_rows_that_are_there_already_are_not_changed_by_insert_if_absent(
    any_database: Database,
) -> None:
    with transaction() as session:
        insert_if_absent(session, Tally, {"name": "old", "count": 1})
    with transaction() as session:
        insert_if_absent(session, Tally, {"name": "old", "count": 2}, {"name": "new", "count": 3})
        insert_if_absent(session, Tally)

    assert tallies() == {"old": 1, "new": 3}


def test_two_threads_that_insert_the_same_absent_rows_insert_each_once(
    any_database: Database,
) -> None:
    def insert() -> None:
        for number in range(20):
            with transaction() as session:
                insert_if_absent(session, Tally, {"name": f"t{number}", "count": 1})

    assert race(insert, insert) == []
    assert tallies() == {f"t{number}": 1 for number in range(20)}


def test_an_insert_waits_for_an_uncommitted_row_and_then_leaves_it(
    any_database: Database,
) -> None:
    with transaction() as session:
        insert_if_absent(session, Tally, {"name": "a", "count": 1})
        other = threading.Thread(target=_insert_another)
        other.start()
        other.join(0.3)
        waited = other.is_alive()
    other.join(HANG)

    assert (waited, tallies()) == (True, {"a": 1})


def _insert_another() -> None:
    with transaction() as session:
        insert_if_absent(session, Tally, {"name": "a", "count": 2})


def test_two_threads_that_count_up_absent_rows_lose_no_count(any_database: Database) -> None:
    assert race(count_up, count_up) == []
    assert tallies() == {f"t{number}": 2 for number in range(10)}


def test_a_locked_row_is_held_until_the_end_of_its_transaction(any_database: Database) -> None:
    with transaction() as session:
        row = get_or_create_locked(session, Tally, "t0", count=0)
        other = threading.Thread(target=count_up)
        other.start()
        other.join(0.3)
        waited = other.is_alive()
        row.count += 1
    other.join(HANG)

    assert (waited, tallies()["t0"]) == (True, 2)


def test_a_row_changed_since_it_was_read_is_read_again_with_its_lock(
    postgres_database: Database,
) -> None:
    with transaction() as session:
        insert_if_absent(session, Tally, {"name": "t0", "count": 0})
    with transaction() as session:
        assert session.get_one(Tally, "t0").count == 0
        count_up()
        assert get_or_create_locked(session, Tally, "t0", count=0).count == 1


def test_a_row_is_inserted_or_locked_and_written_over_without_its_entity(
    any_database: Database,
) -> None:
    def count_up_in_place() -> None:
        for number in range(10):
            with transaction() as session:
                count = insert_or_lock(session, Tally, f"t{number}", count=0).count
                upsert(session, Tally, {"name": f"t{number}", "count": count + 1})

    assert race(*[count_up_in_place] * 4) == []
    assert tallies() == {f"t{number}": 4 for number in range(10)}

    with transaction() as session:
        session.get_one(Tally, "t0").count = 7  # not flushed yet
        assert insert_or_lock(session, Tally, "t0", count=0).count == 7
        upsert(session, Tally, {"name": "t0", "count": 8}, {"name": "new", "count": 1})
        upsert(session, Tally)
    assert (tallies()["t0"], tallies()["new"]) == (8, 1)


def test_rows_that_are_written_later_are_one_statement_of_the_whole_batch(
    any_database: Database,
) -> None:
    def handle(event: Noted, session: Session) -> None:
        insert_if_absent(session, Tally, {"name": event.text[0], "count": 1}, later=True)
        upsert(session, Tally, {"name": "last", "count": int(event.text[1])}, later=True)
        if event.text == "x3":
            raise ValueError("no")

    statements: list[str] = []

    def listen(*facts: Any) -> None:
        if "sample_tallies" in facts[2]:
            statements.append(facts[2])

    subscription = new_subscription(handle, batch=20)
    event.listen(any_database.writer, "before_cursor_execute", listen)
    for texts, count in ((("a1", "a2", "b4"), 2), (("c5", "x3"), 2)):
        statements.clear()
        ids = note(*texts)
        send(subscription)
        dispatch(subscription, ids, worker="w")
        assert len(statements) == count  # an insert and an upsert; those of a failure are not made
    event.remove(any_database.writer, "before_cursor_execute", listen)

    assert tallies() == {"a": 1, "b": 1, "c": 1, "last": 5}
    assert [row.state for row in deliveries()] == ["done"] * 4 + ["retrying"]


def test_outside_a_batch_nothing_is_written_later(any_database: Database) -> None:
    with transaction() as session:
        insert_if_absent(session, Tally, {"name": "a", "count": 1}, later=True)
        assert session.get_one(Tally, "a").count == 1
