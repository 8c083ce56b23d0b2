"""The canary of a group that is fixed in a version, once the workers run it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select

from events import heartbeat, reading, transaction
from events.admin import audit, fix_canaries, replays
from events.admin.fix_canaries import has_fix, start_due
from events.admin.triage import FixCanary
from events.relay.loop import Relay
from events.replays.driver import drive
from events.replays.steps import Pace
from events.replays.tables import Replay
from events.testing import Bus
from tests.servers import HANG
from tests.tasks.builders import placed
from tests.tasks.test_dead_letter_report import report
from tests.tasks.test_impact import CHARGE, dead
from tests.tasks.test_triage import CAUSE, change, shown


def beat(version: str, name: str = "one") -> None:
    heartbeat.beat(f"{name}@box", "worker", ["payment"], version=version)


def jobs() -> list[tuple[str, int]]:
    with reading() as session:
        return [(job.who, job.total) for job in replays.listed(session)]


def test_a_fixed_group_gets_one_canary_when_all_its_workers_run_the_version(any_bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1), placed(MUG=1))
    change(state="fixed", version="2.1")
    assert start_due() == 0
    beat("2.0")
    beat("2.1", "two")
    assert start_due() == 0
    beat("2.10")

    relays = [Relay(any_bus.transport, name=f"relay@{number}") for number in range(2)]
    for relay in relays:
        relay.work()

    assert jobs() == [(fix_canaries.WHO, 1)]
    assert (shown().state, shown().canary, shown().canary_outcome) == ("fixed", 1, "under way")
    any_bus.drain()
    assert (shown().state, shown().canary_outcome) == ("fixed", "handled")
    assert "- canary: replay 1, handled\n" in report(CAUSE)
    assert start_due() == 0
    with reading() as session:
        line = next(each for each in audit.listed(session) if each.who == fix_canaries.WHO)
    assert line.why == "the workers run 2.1, in which it is fixed"

    change(state="fixed", version="2.2")
    beat("2.2", "two")
    assert shown().canary is None
    assert start_due() == 1


def test_relays_that_look_at_the_same_moment_start_one_canary(any_bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1), placed(MUG=1), placed(MUG=1))
    change(state="fixed", version="2.1")
    beat("2.1")
    barrier = Barrier(3)

    def look() -> int:
        barrier.wait(HANG)
        return start_due()

    with ThreadPoolExecutor(3) as pool:
        started = sum(each.result(HANG) for each in [pool.submit(look) for _ in range(3)])

    assert started == 1
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Replay)) == 1
        assert session.scalar(select(func.count()).select_from(FixCanary)) == 1


def test_a_canary_that_dies_again_reopens_its_group_as_regressed(bus: Bus) -> None:
    order = placed(MUG=1)
    dead(CHARGE, order, placed(MUG=1))
    change(state="fixed", version="2.1")
    beat("2.1")
    assert start_due() == 1

    bus.clock.advance(1)
    dead(CHARGE, order)
    drive()

    assert (shown().state, shown().canary_outcome) == ("regressed", "died again")
    change(state="fixed", version="2.1")
    assert start_due() == 0  # once for each version


def test_a_canary_waits_while_the_group_is_replayed_by_a_person(bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1), placed(MUG=1))
    change(state="fixed", version="2.1")
    beat("2.1")
    with transaction() as session:
        job = replays.start(session, who="ada", why="test", pace=Pace((1,)), subscription=CHARGE)

    assert start_due() == 0
    assert shown().canary is None
    with transaction() as session:
        replays.stop(session, job.id, who="ada", why="the canary comes first")
    assert start_due() == 1


def test_a_group_that_regressed_or_has_another_state_gets_no_canary(bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1))
    change(state="fixed", version="2.1")
    bus.clock.advance(1)
    dead(CHARGE, placed(MUG=1))
    beat("2.1")
    assert start_due() == 0

    change(state="closed")
    assert start_due() == 0


@pytest.mark.parametrize(
    ("running", "fixed_in", "expected"),
    [
        ("2.1", "2.1", True),
        ("2.10", "2.9", True),
        ("2.1rc1", "2.1", False),
        ("", "2.1", False),
        ("v2.1", "2.1.0", True),
        ("4f2c9ab", "4f2c9ab", True),
        ("4f2c9ab", "2.1", False),
        ("2.1", "4f2c9ab", False),
    ],
)
def test_a_version_has_the_fix_of_an_earlier_one(
    running: str, fixed_in: str, expected: bool
) -> None:
    assert has_fix(running, fixed_in) is expected
