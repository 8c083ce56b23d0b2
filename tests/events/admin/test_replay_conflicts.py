"""Replays beside other replays, relays and decisions: nothing is given back twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, insert, select

from events import Database, reading, slice_size, transaction
from events.admin import dead_letters, replays
from events.database import database
from events.errors import AlreadyReplaying
from events.replays.driver import drive
from events.replays.steps import CANARY, Pace
from events.replays.tables import REPLAYED, Replay, ReplayedDelivery
from events.tables import DELIVERIES
from events.testing import Bus
from tests import forked
from tests.events.admin.replaying import (
    GROUP,
    Handler,
    change,
    counts,
    dead_letters_of_a_mended_handler,
    job,
    start,
    states,
)
from tests.events.sample import deliveries, marks, note
from tests.worlds import Worlds


@pytest.fixture
def bus(any_database: Database, worlds: Worlds) -> Iterator[Bus]:
    """A bus with forty dead letters that can be handled now."""
    with dead_letters_of_a_mended_handler(any_database, worlds) as bus:
        yield bus


def test_what_was_discarded_meanwhile_is_skipped_and_counted(bus: Bus) -> None:
    number = start(Pace((5,)))
    dead = [row.id for row in deliveries() if row.state == "dead"]
    dead_letters.discard(who="bob", why="test", ids=dead[:10])
    for _ in range(3):
        bus.drain()

    assert counts(number) == ("done", 30, 0, 10, 40)


def test_ids_that_were_settled_meanwhile_are_skipped_and_counted(bus: Bus) -> None:
    ids = [row.id for row in deliveries()][:4]
    dead_letters.discard(who="bob", why="test", ids=ids[:1])
    number = start(ids=ids)
    bus.drain()
    bus.drain()

    assert counts(number) == ("done", 3, 0, 1, 4)


def test_a_second_replay_of_the_same_group_is_told_of_the_first(bus: Bus) -> None:
    number = start(CANARY)
    ids = [row.id for row in deliveries() if row.state == "dead"][:1]
    for which in (GROUP, {"queue": "notes"}, {"everything": True}, {"ids": ids}):
        with pytest.raises(AlreadyReplaying, match=f"replay {number} of ada") as refused:
            start(**which)
        assert refused.value.number == number

    with reading() as session:
        assert session.scalars(select(Replay.id)).all() == [number]
    change(replays.stop, number)
    assert start() == number + 1


def test_replays_of_different_dead_letters_run_side_by_side(bus: Bus) -> None:
    ids = [row.id for row in deliveries()]
    first, second = start(Pace((1,)), ids=ids[:3]), start(Pace((1,)), ids=ids[3:6])
    for _ in range(4):
        bus.drain()

    assert counts(first) == counts(second) == ("done", 3, 0, 0, 3)


def test_what_dies_while_a_job_runs_is_not_selected_by_it(bus: Bus) -> None:
    number = start(CANARY)
    Handler.broken = {"late"}
    note("late")
    for _ in range(6):
        bus.drain()

    assert counts(number) == ("done", 40, 0, 0, 40)
    assert states() == {"done": 40, "dead": 1}


def test_two_relays_never_drive_one_job_twice(bus: Bus) -> None:
    number = start(Pace((1, 5)))
    bus.clock.advance(1.0)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(6):
            list(pool.map(lambda _: drive(), range(4)))
            bus.send_due()
            bus.drain()

    assert counts(number) == ("done", 40, 0, 0, 40)
    with reading() as session:
        rows = session.scalars(select(ReplayedDelivery.event_id)).all()
    assert len(rows) == len(set(rows)) == 40
    assert sum(marks().values()) == 40


def test_a_job_that_cannot_go_on_is_stopped_and_does_not_keep_the_others_from_it(bus: Bus) -> None:
    broken, other = start(Pace((1,)), ids=[deliveries()[0].id]), 0
    other = start(Pace((1,)), ids=[each.id for each in deliveries()[1:4]])
    with transaction() as session:
        replays.find(session, broken).steps = [{"size": None, "nonsense": 1}]
    bus.drain()

    assert (job(broken).state, job(other).state) == ("stopped", "done")
    assert job(broken).stopped_because == "it failed: TypeError"


@pytest.mark.parametrize(
    "any_database",
    ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)],
    indirect=True,
)
def test_a_job_survives_a_kill_at_each_statement_of_each_of_its_steps(bus: Bus) -> None:
    number = start(CANARY)
    url = database().url.render_as_string(hide_password=False)
    killed = []
    bus.drives_replays = False  # the drivers do it, each in a process
    for _ in range(8):
        bus.advance(60)  # the drivers go by the machine's clock
        done = forked.run("tests.events.admin.killed_driver", url, modules=forked.BUS)
        assert done.returncode == 0, done.stderr
        killed.append(int(done.stdout.splitlines()[-1]))  # the log is before it

    assert sum(count >= 4 for count in killed) >= len(CANARY.steps) + 1, killed
    assert counts(number) == ("done", 40, 0, 0, 40)
    assert [step["done"] for step in job(number).steps] == [1, 5, 25, 9]
    assert sum(marks().values()) == 40


def test_a_large_job_is_done_in_slices_and_waits_while_two_thousand_are_open(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slice_size, "TARGET", 60)  # each slice is quick enough
    with transaction() as session:
        found = session.execute(select(DELIVERIES)).mappings().all()
        others = [{"queue": "many", "subscription": f"many.{number}"} for number in range(63)]
        rows = [dict(row) | other for row in found for other in others]
        session.execute(insert(DELIVERIES), rows)
    given_back = [job(start(queue="many")).released]
    for _ in range(3):
        drive()
        with reading() as session:
            given_back.append(session.scalar(select(func.count()).select_from(REPLAYED)) or 0)

    # The first slice, then six at a time, of 100, 200 and at most 250.
    assert given_back == [100, 1400, 2000, 2000]
