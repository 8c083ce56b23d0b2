"""An open breaker lets one probe at a time through, which closes it or not."""

from datetime import timedelta

import pytest

from events import RetryAfter, Unavailable, breakers, clock, transaction
from events.breakers import (
    CALLS,
    FAILURES,
    FIRST_PROBE_DELAY,
    MAX_PROBE_DELAY,
    PROBATION,
    State,
)
from events.dispatch import dispatch
from events.relay.sending import unmark_sent
from events.settings import settings
from events.testing import Bus
from tests.events.breakers.outage import SERVICE, GatewayDown, breaker, outage
from tests.events.sample import deliveries, failed_attempts, marks, note


def test_a_probe_that_succeeds_closes_it_and_all_goes_on(bus: Bus):
    outage(bus)
    note(*map(str, range(30)))
    SERVICE.error = None
    bus.advance(FIRST_PROBE_DELAY + 1)

    assert breaker().state == State.CLOSED
    bus.advance(60)
    assert {row.state for row in deliveries("notes.ask")} == {"done"}
    assert set(marks().values()) == {1}
    assert [event.type for event in bus.published if event.type.startswith("breaker")] == [
        "breaker.opened",
        "breaker.closed",
    ]


def test_a_probe_that_fails_waits_longer_for_the_next_up_to_a_cap(bus: Bus):
    outage(bus)
    delays = []
    for _ in range(6):
        row = breaker()
        assert row.next_probe_at is not None
        delays.append(round((row.next_probe_at - row.since).total_seconds()))
        bus.clock.advance((row.next_probe_at - clock.now()).total_seconds() + 0.01)
        before = clock.now()
        bus.drain()
        row = breaker()
        assert row.next_probe_at is not None
        delays[-1] = round((row.next_probe_at - before).total_seconds())

    assert delays == [10, 20, 40, MAX_PROBE_DELAY, MAX_PROBE_DELAY, MAX_PROBE_DELAY]


def test_the_time_that_the_dependency_asks_for_is_granted(bus: Bus):
    class Busy(RetryAfter, Unavailable):
        pass

    SERVICE.error = lambda: Busy(300)
    note(*map(str, range(FAILURES)))
    bus.drain()
    row = breaker()

    assert row.next_probe_at is not None
    assert round((row.next_probe_at - row.since).total_seconds()) == 300


def test_probes_take_turns(bus: Bus):
    outage(bus)
    SERVICE.calls.clear()
    for _ in range(FAILURES):
        bus.advance(MAX_PROBE_DELAY + 1)

    assert len(set(SERVICE.calls)) == len(SERVICE.calls) == FAILURES


def test_a_delivery_that_fails_by_itself_neither_opens_it_nor_keeps_it_open(bus: Bus):
    note(*(f"broken-{number}" for number in range(2 * FAILURES)))
    bus.drain()
    assert breaker().state == State.CLOSED
    for _ in range(5):
        bus.advance(10)

    SERVICE.error = lambda: GatewayDown("down")
    note(*map(str, range(CALLS)))
    bus.drain()
    assert breaker().state == State.OPEN
    # Whatever waits is broken now: its own failure answers the probe.
    SERVICE.error = lambda: ValueError("500 for this note")
    bus.advance(FIRST_PROBE_DELAY + 1)

    assert breaker().state == State.CLOSED


def test_just_closed_it_opens_at_the_first_failure_and_the_others_spend_no_attempt(bus: Bus):
    outage(bus)
    opened_at = breaker().opened_at
    SERVICE.error = None
    attempts = len(failed_attempts())
    bus.send_due()
    bus.clock.advance(FIRST_PROBE_DELAY + 0.1)
    bus.send_due()
    [probe] = bus.transport.receive()
    dispatch(bus.subscriptions["notes.ask"], probe.event_ids, worker="w")
    assert breaker().state == State.CLOSED

    SERVICE.error = lambda: GatewayDown("down")
    bus.advance(10)

    assert breaker().state == State.OPEN
    assert breaker().opened_at == opened_at
    assert breaker().failed_probes >= 1
    assert len(failed_attempts()) == attempts + 1
    assert timedelta(seconds=1) < PROBATION


def test_one_probe_at_a_time_is_sent(bus: Bus):
    outage(bus)
    note(*map(str, range(10)))
    bus.send_due()
    bus.clock.advance(FIRST_PROBE_DELAY + 0.1)
    for _ in range(3):
        bus.send_due()
        bus.clock.advance(1)

    assert len(bus.transport.receive()) == 1


def test_a_probe_that_is_lost_is_followed_by_another_one(bus: Bus):
    outage(bus)
    bus.clock.advance(FIRST_PROBE_DELAY + 0.1)
    bus.send_due()
    [lost] = bus.transport.receive()  # by a worker that is killed
    bus.clock.advance(settings().lease + 0.1)
    bus.send_due()
    [other] = bus.transport.receive()
    assert other.event_ids != lost.event_ids

    # The first one arrives after all: it is not the probe any more, and waits.
    SERVICE.error = None
    calls = len(SERVICE.calls)
    dispatch(bus.subscriptions["notes.ask"], lost.event_ids, worker="w")
    assert len(SERVICE.calls) == calls
    assert breaker().state == State.OPEN

    dispatch(bus.subscriptions["notes.ask"], other.event_ids, worker="w")
    assert breaker().state == State.CLOSED


def test_a_probe_that_the_broker_refused_is_followed_by_another_one_at_once(bus: Bus):
    outage(bus)
    bus.clock.advance(FIRST_PROBE_DELAY + 0.1)
    bus.send_due()
    refused = bus.transport.receive()
    with transaction() as session:
        unmark_sent(session, refused)
    bus.send_due()

    assert len(bus.transport.receive()) == 1


def test_a_probe_without_an_outcome_is_followed_by_another_one(bus: Bus):
    outage(bus)
    SERVICE.error = None
    with transaction() as session:
        row = breakers.lock(session, "service")
        row.probe, row.probe_at = "x:notes.ask", clock.now()
        breakers.forget_probe(session, "service", "x:notes.ask")
    bus.advance(FIRST_PROBE_DELAY + 0.1)

    assert breaker().state == State.CLOSED


@pytest.mark.parametrize("ahead", [timedelta(days=400), timedelta(days=-400)])
def test_a_restored_database_whose_times_are_of_another_clock_is_probed_all_the_same(
    bus: Bus, ahead: timedelta
):
    outage(bus)
    SERVICE.error = None
    with transaction() as session:
        row = breakers.lock(session, "service")
        row.next_probe_at = row.since = clock.now() + ahead
        row.probe, row.probe_at = "x:notes.ask", clock.now() + ahead
    bus.drain()

    assert breaker().state == State.CLOSED
