"""The versions of the workers of a queue: since when, and which were replaced."""

from datetime import timedelta

from sqlalchemy import func, select

from events import Database, clock, heartbeat, reading
from events.admin import worker_versions
from events.tables import VersionStart
from events.testing import ManualClock

HOUR = 3600.0


def start(version: str, name: str = "notes@one") -> None:
    """Do what a worker does when it starts."""
    worker_versions.record(["notes", "others"], version)
    heartbeat.beat(name, "worker", ["notes", "others"], version=version)


def versions() -> list[tuple[str, float, int]]:
    """Return version, hours since its start and live workers of each version of a queue."""
    with reading() as session:
        found = worker_versions.by_queue(session)
    assert found["notes"] == found["others"]
    return [
        (each.version, (clock.now() - each.since) / timedelta(hours=1), each.workers)
        for each in found["notes"]
    ]


def test_a_restart_is_no_new_version_and_a_replaced_one_is_known_for_six_hours(
    any_database: Database, time: ManualClock
) -> None:
    start("1.0")
    time.advance(HOUR)
    start("1.0")  # the worker crashed, or lost its broker
    start("1.0", "notes@two")
    assert versions() == [("1.0", 1.0, 2)]

    time.advance(HOUR)
    heartbeat.leave("notes@one")
    start("1.1")
    heartbeat.beat("notes@two", "worker", ["notes", "others"], version="1.0")
    assert versions() == [("1.0", 2.0, 1), ("1.1", 0.0, 1)]

    time.advance(60)
    heartbeat.leave("notes@two")
    heartbeat.leave("notes@one")
    start("1.0")  # rolled back
    assert [(name, workers) for name, _, workers in versions()] == [
        ("1.0", 0),
        ("1.1", 0),
        ("1.0", 1),
    ]
    time.advance(7 * HOUR)
    start("1.0")
    assert versions() == [("1.0", 7.0, 1)]


def test_a_worker_of_an_older_release_is_known_by_its_heartbeat(
    any_database: Database, time: ManualClock
) -> None:
    heartbeat.beat("notes@one", "worker", ["notes", "others"], version="0.9")
    time.advance(5)
    assert [(name, workers) for name, _, workers in versions()] == [("0.9", 1)]


def test_old_versions_are_removed_but_the_present_one_is_kept(
    any_database: Database, time: ManualClock
) -> None:
    for version in ("1.0", "1.1", "1.2"):
        start(version)
        time.advance(40 * 24 * HOUR)
    start("1.2")
    with reading() as session:
        count = select(func.count()).where(VersionStart.queue == "notes")
        assert session.scalar(count.select_from(VersionStart)) == 1
    assert versions() == [("1.2", 40 * 24.0, 1)]
