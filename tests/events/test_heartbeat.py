"""Heartbeats of workers and relays."""

import os

from sqlalchemy import select, update

from events import Database, heartbeat, reading, transaction
from events.tables import Heartbeat
from events.testing import ManualClock


def test_a_heartbeat_carries_an_error_until_it_is_over(any_database: Database) -> None:
    heartbeat.beat("relay@one", "relay", trouble="the broker is down")
    with reading() as session:
        assert [row.trouble for row in heartbeat.alive(session)] == ["the broker is down"]
    heartbeat.beat("relay@one", "relay")
    with reading() as session:
        assert [(row.trouble, row.pid) for row in heartbeat.alive(session)] == [(None, os.getpid())]


def test_a_process_that_leaves_or_is_silent_for_an_hour_has_no_heartbeat(
    any_database: Database, time: ManualClock
) -> None:
    for name in ("a", "b"):
        heartbeat.beat(name, "worker")
    heartbeat.leave("a")
    time.advance(3700)
    heartbeat.beat("c", "worker")

    with reading() as session:
        assert session.scalars(select(Heartbeat.name)).all() == ["c"]


def test_a_process_that_leaves_takes_no_other_of_its_name_along(any_database: Database) -> None:
    heartbeat.beat("a", "worker", ["notes"])
    with transaction() as session:
        session.execute(update(Heartbeat).values(pid=-1))  # another process with this name
    heartbeat.leave("a")

    with reading() as session:
        assert [row.name for row in heartbeat.alive(session)] == ["a"]


def test_a_restarted_process_shows_its_own_start(any_database: Database, time: ManualClock) -> None:
    heartbeat.beat("a", "worker", ["notes"])
    with transaction() as session:
        session.execute(update(Heartbeat).values(pid=-1))  # the process before the restart
    time.advance(5)
    heartbeat.beat("a", "worker", ["others"])

    with reading() as session:
        [row] = heartbeat.alive(session)
    assert (row.started_at, row.queues) == (time(), ["others"])


def test_a_process_that_was_not_seen_since_the_clock_went_back_is_dead(
    any_database: Database, time: ManualClock
) -> None:
    for name in ("killed", "living"):
        heartbeat.beat(name, "relay")
    time.advance(-7200)
    heartbeat.beat("living", "relay")
    with reading() as session:
        assert [row.name for row in heartbeat.live_relays(session)] == ["living"]
    heartbeat.beat("new", "relay")

    with reading() as session:
        assert set(session.scalars(select(Heartbeat.name))) == {"living", "new"}
