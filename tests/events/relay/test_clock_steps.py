"""A clock that goes back by hours: what waits for a time, or was sent before, is not held up."""

from datetime import timedelta

import pytest

from events import Database, breakers, clock, reading, transaction
from events.dispatch import dispatch
from events.relay import clock_steps
from events.relay.clock_steps import ClockSteps
from events.relay.loop import Relay
from events.relay.loss import LostMessageDetector
from events.settings import settings
from events.testing import InMemoryTransport, ManualClock
from tests.events.relay.test_loop import work
from tests.events.relay.test_loss import pass_time
from tests.events.sample import (
    POLICY,
    deliveries,
    delivery,
    marks,
    new_subscription,
    note,
    raising,
    send,
)

HOURS = 7200.0
LEASE = settings().lease
ONE = new_subscription(batch=20)
FAILING = new_subscription(raising(lambda: ValueError("no")), batch=20)


def fail(*texts: str) -> None:
    """Let the deliveries of new notes fail, so that they wait for their retry."""
    note(*texts)
    for message in send(FAILING):
        dispatch(FAILING, message.event_ids, worker="w")


def send_one(broker: InMemoryTransport, text: str) -> None:
    """Send the delivery of a new note."""
    note(text)
    broker.send(send(ONE, slots=2))


def upkeep(relay: Relay) -> None:
    """Do the duties of every few seconds, and some rounds."""
    relay._upkeep_at = 0.0
    work(relay)


def test_a_retry_is_made_when_it_would_have_been(any_database: Database, time: ManualClock) -> None:
    fail("a")
    broker = InMemoryTransport()
    relay = Relay(broker)
    upkeep(relay)
    time.advance(-HOURS)
    upkeep(relay)
    assert delivery().due_at <= time() + timedelta(seconds=POLICY.first)
    time.advance(POLICY.first)
    upkeep(relay)

    assert [each.event_ids for each in broker.ready] == [(delivery().event_id,)]
    dispatch(ONE, broker.ready[0].event_ids, worker="w")
    assert marks() == {"a": 1}


def test_the_due_times_of_many_deliveries_keep_their_distance(
    any_database: Database, time: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_steps, "BATCH", 3)
    steps = ClockSteps()
    fail(*(str(number) for number in range(10)))
    before = [row.due_at for row in deliveries()]
    assert steps.check() == 0
    time.advance(-HOURS)

    assert steps.check() == 10
    step = timedelta(seconds=HOURS)
    assert [row.due_at for row in deliveries()] == [due_at - step for due_at in before]
    assert steps.check() == 0


def test_a_probe_of_an_open_breaker_is_sent_when_it_would_have_been(
    any_database: Database, time: ManualClock
) -> None:
    minute, steps = timedelta(minutes=1), ClockSteps()
    with transaction() as session:
        row = breakers.lock(session, "carrier")
        row.state, row.next_probe_at = breakers.State.OPEN, time() + minute
    steps.check()
    time.advance(-HOURS / 4)
    steps.check()

    with reading() as session:
        assert session.get_one(breakers.Breaker, "carrier").next_probe_at == time() + minute


def test_a_time_of_a_machine_whose_clock_was_set_is_none_of_the_database(
    any_database: Database, time: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ClockSteps()
    fail("a")
    due_at = delivery().due_at
    steps.check()
    with monkeypatch.context() as patched:
        patched.setattr(clock, "was_set", lambda: True)
        time.advance(HOURS)
        assert steps.check() == 0
    time.advance(-HOURS)

    assert steps.check() == 0
    assert delivery().due_at == due_at


def test_a_clock_that_goes_on_moves_nothing(any_database: Database, time: ManualClock) -> None:
    steps = ClockSteps()
    fail("a")
    due_at = delivery().due_at
    for seconds in (0.0, 3600.0, -1.0, 1.0):
        time.advance(seconds)
        assert steps.check() == 0

    assert delivery().due_at == due_at


def test_a_message_that_was_lost_before_or_after_is_found_within_the_lease(
    any_database: Database, time: ManualClock
) -> None:
    broker = InMemoryTransport()
    detector = LostMessageDetector(broker)
    send_one(broker, "before")
    pass_time(detector, time, 10)
    time.advance(-HOURS)
    detector.check()
    send_one(broker, "after")
    broker.ready.clear()

    assert pass_time(detector, time, LEASE + 15) == 2
    assert [row.sent_at for row in deliveries()] == [None, None]


def test_a_message_that_waits_since_before_is_not_lost_and_makes_no_later_one_lost(
    any_database: Database, time: ManualClock
) -> None:
    broker = InMemoryTransport()
    detector = LostMessageDetector(broker)
    send_one(broker, "before")
    pass_time(detector, time, 2 * LEASE)  # it is a probe by now
    time.advance(-HOURS)
    send_one(broker, "after")
    assert pass_time(detector, time, 2 * LEASE) == 0
    dispatch(ONE, broker.ready.pop(0).event_ids, worker="w")  # the probe

    assert pass_time(detector, time, 2 * LEASE) == 0
    assert len(broker.ready) == 1
