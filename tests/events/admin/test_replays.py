"""Replays as jobs: steps, pace, the decision to stop, and what is settled meanwhile."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import pytest
from sqlalchemy import select

from events import Database, reading
from events.admin import replays, trace
from events.audit_tables import AuditEntry
from events.errors import NothingToReplay, ReplayIsOver, UnknownReplay
from events.replays import history
from events.replays.steps import CANARY, Pace
from events.replays.tables import Replay, ReplayedDelivery
from events.tables import Delivery
from events.testing import Bus
from tests.events.admin.replaying import (
    Handler,
    change,
    counts,
    dead_letters_of_a_mended_handler,
    job,
    start,
    states,
    texts,
)
from tests.events.sample import deliveries, marks
from tests.worlds import Worlds


@pytest.fixture
def bus(any_database: Database, worlds: Worlds) -> Iterator[Bus]:
    """A bus with forty dead letters that can be handled now."""
    with dead_letters_of_a_mended_handler(any_database, worlds) as bus:
        yield bus


def test_a_replay_without_steps_gives_all_back_and_counts_what_was_handled(bus: Bus) -> None:
    number = start()
    bus.drain()
    bus.drain()

    assert counts(number) == ("done", 40, 0, 0, 40)
    assert states() == {"done": 40}
    assert job(number).stopped_because is None


def test_a_canary_goes_on_only_when_its_step_is_settled(bus: Bus) -> None:
    number = start(CANARY)
    assert states() == {"dead": 39, "retrying": 1}
    bus.drain()

    assert counts(number) == ("done", 40, 0, 0, 40)
    assert [step["done"] for step in job(number).steps] == [1, 5, 25, 9]
    times = steps_of(number)
    for step in range(3):
        assert max(done for _, done in times[step]) <= min(began for began, _ in times[step + 1])


def steps_of(number: int) -> dict[int, list[tuple[datetime, datetime]]]:
    """Return when each delivery was given back and when it was handled, by step."""
    found: dict[int, list[tuple[datetime, datetime]]] = {}
    with reading() as session:
        rows = session.execute(
            select(ReplayedDelivery.step, ReplayedDelivery.released_at, Delivery.done_at)
            .join(Delivery, Delivery.event_id == ReplayedDelivery.event_id)
            .where(ReplayedDelivery.replay_id == number)
        )
        for step, released_at, done_at in rows:
            found.setdefault(step, []).append((released_at, done_at))
    return found


def test_a_canary_stops_by_itself_and_leaves_the_rest_dead_as_before(bus: Bus) -> None:
    Handler.broken = set(texts()[2:5])  # three of the second step
    before = {row.event_id: (row.died_at, row.attempts, row.error) for row in deliveries()}
    number = start(CANARY)
    for _ in range(4):
        bus.drain()

    row = job(number)
    assert (row.state, row.step, row.released) == ("stopped", 1, 6)
    assert row.stopped_because == ("at step 2, 3 of 5 died again: 60 % is over the limit of 10 %")
    assert states() == {"done": 3, "dead": 37}
    untouched = [row for row in deliveries() if before[row.event_id][0] == row.died_at]
    assert len(untouched) == 34
    assert all(before[each.event_id][1:] == (each.attempts, each.error) for each in untouched)


def test_the_first_step_of_one_stops_the_job_when_it_dies(bus: Bus) -> None:
    Handler.broken = None
    number = start(CANARY)
    bus.drain()
    bus.drain()

    assert (job(number).state, states()) == ("stopped", {"dead": 40})
    assert marks() == {}


@pytest.mark.parametrize(("limit", "state"), [(0.5, "stopped"), (0.6, "done")])
def test_each_job_has_its_own_limit(limit: float, state: str, bus: Bus) -> None:
    Handler.broken = set(texts()[2:5])
    number = start(Pace((1, 5), stop_above=limit))
    for _ in range(5):
        bus.drain()

    assert job(number).state == state


def test_deaths_stop_a_job_amid_a_large_step(bus: Bus) -> None:
    Handler.broken = None
    number = start(Pace(rate=10.0))
    for _ in range(8):
        bus.advance(1.0)

    row = job(number)
    assert row.state == "stopped"
    assert row.released < row.total
    assert states() == {"dead": 40}


def test_a_rate_spreads_the_due_times_and_never_runs_ahead_of_them(bus: Bus) -> None:
    number = start(Pace(rate=2.0))
    due = sorted(row.due_at for row in deliveries() if row.state == "retrying")
    gaps = {(later - earlier).total_seconds() for earlier, later in pairwise(due)}
    assert gaps == {0.5}
    assert len(due) == 5  # now, and those of the next two seconds
    began = bus.clock()
    while job(number).state == "running":
        bus.advance(0.5)

    assert counts(number) == ("done", 40, 0, 0, 40)
    assert 19.0 <= (bus.clock() - began).total_seconds() <= 22.0


def test_a_paused_job_gives_nothing_back_until_it_is_resumed(bus: Bus) -> None:
    number = start(Pace((5,)))
    assert change(replays.pause, number)
    assert not change(replays.pause, number)
    for _ in range(3):
        bus.drain()
    assert (counts(number), states()) == (("paused", 5, 0, 0, 40), {"done": 5, "dead": 35})

    assert change(replays.resume, number)
    assert not change(replays.resume, number)
    for _ in range(3):
        bus.drain()
    assert counts(number) == ("done", 40, 0, 0, 40)


def test_a_stopped_job_leaves_the_rest_and_counts_what_it_had_given_back(bus: Bus) -> None:
    number = start(Pace((5,)))
    assert change(replays.stop, number)
    assert not change(replays.stop, number)
    for _ in range(3):
        bus.drain()

    assert counts(number) == ("stopped", 5, 0, 0, 40)
    assert job(number).stopped_because == "bob stopped it: wait"
    assert states() == {"done": 5, "dead": 35}
    for act in (replays.pause, replays.resume):
        with pytest.raises(ReplayIsOver, match=f"replay {number} is stopped"):
            change(act, number)


def test_a_filter_that_matches_nothing_starts_no_job(bus: Bus) -> None:
    with pytest.raises(NothingToReplay, match="no dead letter matches queue 'nobody'"):
        start(queue="nobody")
    with reading() as session:
        assert session.scalars(select(Replay)).all() == []
    with pytest.raises(UnknownReplay, match="there is no replay 7"):
        change(replays.stop, 7)


def test_a_job_is_audited_once_with_every_later_act(bus: Bus) -> None:
    number = start(CANARY)
    for act in (replays.pause, replays.pause, replays.resume, replays.stop):
        change(act, number)

    with reading() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        assert [(each.who, each.action, each.target) for each in entries] == [
            ("ada", "replay", "dead letters of subscription notes.mark"),
            ("bob", "pause replay", f"replay {number}"),
            ("bob", "resume replay", f"replay {number}"),
            ("bob", "stop replay", f"replay {number}"),
        ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": (0,)}, "give at most 10 steps, each of 1 to"),
        ({"steps": (1,) * 11}, "give at most 10 steps"),
        ({"rate": 0.0}, "give a rate from 0.01"),
        ({"rate": 1e9}, "give a rate from 0.01"),
        ({"rate": float("nan")}, "give a rate from 0.01"),
        ({"stop_above": 1.1}, "from 0 to 1"),
        ({"stop_above": float("nan")}, "from 0 to 1"),
    ],
)
def test_a_pace_that_cannot_work_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pace(**values)  # type: ignore[arg-type]


def test_the_trace_names_the_replay_of_a_delivery_and_of_each_attempt(bus: Bus) -> None:
    Handler.broken = None
    first, second = start(Pace((1,))), 0
    bus.drain()
    Handler.broken = set()
    second = start()
    bus.drain()

    with reading() as session:
        traced = [each for event in trace.of(session, "N-1") for each in event.deliveries]
    [twice] = [each for each in traced if len(each.replays) == 2]
    assert [each.replay_id for each in twice.replays] == [first, second]
    assert [each.outcome for each in twice.replays] == ["failed", "done"]
    numbers = [history.replay_of(each.send, twice.replays) for each in twice.failed_attempts]
    assert numbers == [None, first]
