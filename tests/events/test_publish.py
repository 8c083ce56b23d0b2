from datetime import timedelta

import pytest
from sqlalchemy import func, select

from events import Database, log, publish, reading, transaction
from events.tables import Delivery, LogEntry
from events.testing import Bus, ManualClock
from tests.events.sample import Heard, Noted, hearing, marks, note, send


def counted(table: type[LogEntry] | type[Delivery]) -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_what_is_rolled_back_is_never_sent(any_database: Database) -> None:
    def change_ones_mind() -> None:
        with transaction() as session:
            publish(session, Noted(text="never"))
            raise ValueError("on second thoughts, no")

    with pytest.raises(ValueError, match="on second thoughts"):
        change_ones_mind()

    assert send(hearing()) == []
    assert (counted(LogEntry), counted(Delivery)) == (0, 0)


def test_publishing_sends_nothing_and_only_writes_to_the_log(any_database: Database) -> None:
    with transaction() as session:
        ids = publish(session, Noted(text="a"), Noted(text="b"), Heard(text="c"), subject="N-1")
        assert counted(LogEntry) == 0  # another connection sees nothing before the commit

    with reading() as session:
        assert [each.id for each in log.about(session, "N-1")] == ids
        assert {each.id for each in log.read(session, ids[:2])} == set(ids[:2])
    assert counted(Delivery) == 0


def test_publishing_nothing_writes_nothing(any_database: Database) -> None:
    with transaction() as session:
        assert publish(session) == []


def test_an_event_of_the_future_waits_for_its_time(any_database: Database) -> None:
    with Bus(subscriptions=[hearing()]) as bus:
        with transaction() as session:
            publish(session, Noted(text="later"), at=bus.clock() + timedelta(hours=1))
            publish(session, Noted(text="now"))

        bus.advance(3590)
        assert marks() == {"now": 1}
        bus.advance(20)

    assert marks() == {"now": 1, "later": 1}


def test_ids_grow_with_time_so_that_the_log_reads_in_order(any_database: Database) -> None:
    ids = [*note("a"), *note("b"), *note("c")]

    assert ids == sorted(ids)


def test_a_moment_without_a_zone_is_refused_before_it_is_stored(
    any_database: Database, time: ManualClock
) -> None:
    with pytest.raises(Exception, match="has no time zone"), transaction() as session:
        publish(session, Noted(text="x"), at=time().replace(tzinfo=None))


def test_every_moment_comes_back_in_utc(any_database: Database, time: ManualClock) -> None:
    note("x")

    with reading() as session:
        row = session.scalars(select(LogEntry)).one()
    assert row.time == time()
    assert row.time.utcoffset() == timedelta(0)
