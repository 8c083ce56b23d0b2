"""What died of an outage is replayed by itself when the dependency is available again."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from events import Database, breakers, reading, transaction
from events.admin import breakers as admin
from events.admin import replays
from events.breakers import FIRST_PROBE_DELAY, State
from events.catalog import BreakerClosed
from events.subscriptions import Subscription
from events.testing import Bus
from tests.events.breakers.outage import POLICY, SERVICE, breaker, dependent, outage
from tests.events.sample import deliveries, note


def replay(event: BreakerClosed, session: Session) -> None:
    admin.replay_dead_letters(session, event.dependency)


REPLAY = Subscription("alerts.replay", "alerts", (BreakerClosed,), replay, None, POLICY, 1)


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """A bus with a dead letter that the outage killed, and one that fails by itself."""
    with Bus(subscriptions=[dependent(), REPLAY], fail_fast=False) as running:
        note("broken")
        SERVICE.error = ConnectionRefusedError
        note("alone")
        for _ in range(20):
            running.advance(2)
        assert states() == {"dead": 2}
        yield running


def states() -> dict[str, int]:
    found = [row.state for row in deliveries("notes.ask")]
    return {state: found.count(state) for state in sorted(set(found))}


def end_of_outage(bus: Bus) -> None:
    outage(bus)
    SERVICE.error = None
    for _ in range(4):
        bus.advance(FIRST_PROBE_DELAY + 1)
    assert breaker().state == State.CLOSED


def test_what_died_of_an_outage_is_replayed_when_it_is_over(bus: Bus):
    end_of_outage(bus)

    assert states() == {"dead": 1, "done": 6}
    with reading() as session:
        [job] = replays.listed(session)
    assert (job.total, job.who, job.why) == (1, "circuit breaker", "service is available again")
    assert [step["size"] for step in job.steps][:3] == [1, 5, 25]


def test_switched_off_it_waits_for_a_person(bus: Bus):
    with transaction() as session:
        breakers.lock(session, "service")
        assert admin.switch_replays(session, "service", on=False, who="ada", why="by hand")
        assert not admin.switch_replays(session, "service", on=False, who="ada", why="by hand")
    end_of_outage(bus)

    assert states() == {"dead": 2, "done": 5}


def test_nothing_is_replayed_if_the_breaker_is_open_again_by_then(bus: Bus):
    with transaction() as session:
        breakers.hold(session, breakers.lock(session, "service"), who="ada", why="not yet")
        assert admin.replay_dead_letters(session, "service") is None

    assert states() == {"dead": 2}
