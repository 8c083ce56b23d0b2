"""Counts of what the handlers did: in memory, then in rows that outlive the deliveries."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from events import Database, Retry, clock, count_flush, counts, reading, transaction
from events.admin import replays, stats
from events.admin.stats import QueueStats, times_of
from events.count_tables import BOUNDS, MINUTES
from events.replays.driver import drive
from events.testing import Bus
from tests.events.sample import Noted, new_subscription, note

POLICY = Retry(attempts=2, first=10.0, cap=10.0)
BROKEN = {"fail"}


def answer(event: Noted, session: Session) -> None:
    if event.text in BROKEN:
        raise ValueError("no")


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    counts.reset()
    BROKEN.add("fail")
    answering = new_subscription(answer, name="notes.answer", retry=POLICY)
    with Bus(subscriptions=[answering], fail_fast=False) as bus:
        yield bus
    counts.reset()


def notes() -> QueueStats:
    with reading() as session:
        [found] = [each for each in stats.read(session) if each.view.name == "notes"]
    return found


def _replay_all(bus: Bus) -> None:
    """Replay what died, an hour later."""
    BROKEN.clear()
    bus.advance(3600)
    with transaction() as session:
        replays.start(session, who="ada", why="mended", everything=True)
    drive()
    bus.drain()
    count_flush.flush()


def test_what_was_handled_failed_died_and_was_replayed_outlives_the_deliveries(bus: Bus) -> None:
    note("a", "b", "fail")
    bus.drain()
    bus.advance(20)
    count_flush.flush()
    count_flush.flush()  # adds nothing twice

    [line] = notes().subscriptions
    assert (line.name, line.queue, line.window) == ("notes.answer", "notes", 2)
    assert (line.handled, line.failed, line.retried, line.died) == (2, 2, 1, 1)
    assert (line.waiting, line.in_flight, line.retrying, line.dead) == (0, 0, 0, 1)
    assert line.p99 is not None
    assert line.p99 < 10
    assert 0.33 <= line.per_minute <= 0.4  # two in five to six minutes
    [point] = notes().history
    assert (point.handled, point.p99) == (2, line.p99)

    _replay_all(bus)
    with transaction() as session:
        for table in ("attempts", "deliveries"):
            session.execute(text(f"DELETE FROM {table}"))

    found = notes().figures
    assert (found.handled, found.died, found.replayed, found.dead) == (3, 1, 1, 0)
    # It counts since it was given back: its customer was told an hour ago.
    assert next(each.p99 for each in notes().history if each.at > point.at) < 10


def test_a_delivery_that_waited_for_long_counts_since_its_event(bus: Bus) -> None:
    note("a")
    bus.advance(600)
    count_flush.flush()

    assert notes().figures.p50 == pytest.approx(0.5 * (300 + 1800))


def test_counts_that_cannot_be_written_are_kept_for_the_next_flush(bus: Bus) -> None:
    note("a")
    bus.drain()
    with transaction() as session:
        session.execute(text("ALTER TABLE count_totals RENAME TO away"))
    with pytest.raises(SQLAlchemyError):
        count_flush.flush()
    count_flush.flush_or_log()
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(MINUTES)) == 0
        session.execute(text("ALTER TABLE away RENAME TO count_totals"))

    count_flush.flush()

    assert notes().figures.handled == 1


def test_a_failure_counts_once_it_is_committed(any_database: Database) -> None:
    counts.reset()
    with transaction() as session:
        counts.note_failure(session, "notes.answer", dead=False)
        session.rollback()
    assert counts.take() == ({}, [])

    with transaction() as session:
        counts.note_failure(session, "notes.answer", dead=True)
    [found] = counts.take()[0].values()
    assert found == Counter(failed=1, died=1)


def test_minutes_of_former_days_are_removed_and_their_totals_stay(bus: Bus) -> None:
    for text_ in "ab":
        note(text_)
        bus.drain()
        count_flush.flush()
        bus.advance(count_flush.RETENTION.total_seconds() + 60)
    note("c")
    bus.drain()
    count_flush.flush()

    with reading() as session:
        kept = session.scalars(select(MINUTES.c.minute)).all()
    assert kept == [counts.minute_of(clock.now())]
    assert notes().figures.handled == 3


@pytest.mark.parametrize(
    ("counted", "p50", "p99"),
    [
        ({}, None, None),
        ({"within_10_ms": 100}, 0.005, 0.0099),
        ({"within_100_ms": 50, "within_1_s": 50}, 0.1, 0.99),
        ({"later": 1}, BOUNDS["within_2_h"], BOUNDS["within_2_h"]),
    ],
)
def test_quantiles_are_interpolated_between_the_bounds(
    counted: dict[str, int], p50: float | None, p99: float | None
) -> None:
    found = times_of(counted)

    assert (found.p50, found.p99) == (pytest.approx(p50), pytest.approx(p99))
