"""Deliveries that fail by themselves, with an error as in an outage, do not make one."""

from datetime import timedelta

import pytest

from events import Database, breakers, pace, transaction
from events.breakers import CALLS, FAILURES, FIRST_PROBE_DELAY, State
from events.dispatch import dispatch
from events.testing import Bus
from tests.events.breakers.outage import POLICY, SERVICE, breaker, dependent, outage
from tests.events.sample import deliveries, failed_attempts, marks, note


def opened(bus: Bus) -> int:
    """Return how often the breaker has opened."""
    return sum(event.type == "breaker.opened" for event in bus.published)


def states() -> list[str]:
    """Return the state of each delivery, the oldest event first."""
    return [row.state for row in deliveries("notes.ask")]


def test_failures_among_the_answers_of_a_batch_are_not_its_latest_calls(any_database: Database):
    with Bus(subscriptions=[dependent(batch=100)], fail_fast=False) as bus:
        note(*("reset" if number % 4 == 0 else "good" for number in range(10 * CALLS)))
        bus.drain()

        assert breaker().state == State.CLOSED
        assert len(failed_attempts()) > 2 * CALLS
        assert states().count("done") == 10 * CALLS * 3 // 4


def test_those_that_fail_again_together_do_not_open_it_if_others_were_answered(bus: Bus):
    note(*("reset" if number % 4 == 0 else "good" for number in range(10 * CALLS)))
    bus.drain()
    for _ in range(2):
        bus.clock.advance(1.1)
        answered = note("good")
        bus.send_due()
        dispatch(bus.subscriptions["notes.ask"], answered, worker="w")
        bus.drain()

    assert opened(bus) == 0
    assert states().count("dead") == 10 * CALLS // 4


def test_answers_of_a_clock_that_went_back_are_no_proof(bus: Bus):
    note("good")
    bus.drain()
    breakers._answered_at["service"] += timedelta(hours=1)
    SERVICE.error = ConnectionResetError
    note(*map(str, range(FAILURES - 1)))
    bus.drain()
    bus.advance(1.1)  # they fail again
    assert breaker().failures == 2 * (FAILURES - 1)


def test_an_outage_that_begins_amid_a_batch_opens_it_when_its_failures_come_again(bus: Bus):
    note(*["good"] * CALLS)
    bus.drain()
    SERVICE.error = ConnectionResetError
    note(*map(str, range(FAILURES + 3)))
    bus.drain()
    assert breaker().state == State.CLOSED  # fewer than half of the latest calls
    bus.advance(1.1)
    bus.advance(1.1)

    assert breaker().state == State.OPEN
    assert "dead" not in states()


def test_they_do_not_hold_the_others_back(bus: Bus, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(pace._seconds, "notes.ask", 0.05)  # two in a transaction
    note(*["reset"] * FAILURES)
    bus.drain()
    assert breaker().state == State.OPEN
    note(*["good"] * 10)
    bus.advance(FIRST_PROBE_DELAY + 1)
    assert marks() == {}
    bus.advance(2 * FIRST_PROBE_DELAY + 1)

    assert marks() == {"good": 10}


def test_one_that_opens_it_whenever_it_has_closed_spends_its_attempts(bus: Bus):
    outage(bus)
    SERVICE.error = None
    reset = note("reset")
    for _ in range(POLICY.attempts):
        with transaction() as session:
            breakers.close(session, breakers.lock(session, "service"))
        breakers._answered.clear()  # as in a process that was just started
        bus.clock.advance(1.1)
        bus.send_due()
        dispatch(bus.subscriptions["notes.ask"], reset, worker="w")
        assert breaker().state == State.OPEN

    assert states()[FAILURES] == "dead"
