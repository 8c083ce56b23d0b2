"""Queues that the broker refuses: the back-off of each, and what is said of them."""

from events.errors import QueueUnavailable
from events.relay.unavailable import (
    FORGET_AFTER,
    MAX_DELAY,
    TASKS_REFUSED_FOR,
    UnavailableQueues,
)

FULL = {"notes": QueueUnavailable("notes", "is full", "start workers")}
LEADERLESS = {"notes": QueueUnavailable("notes", "has no leader", "start nodes")}


def test_a_refused_queue_is_held_longer_and_longer_and_no_other_is() -> None:
    queues, now, delays = UnavailableQueues(), 100.0, []
    for _ in range(7):
        queues.note_send({"notes", "others"}, FULL, now=now)
        delays.append(queues.next_attempt(now=now) or 0.0)
        assert queues.held(now=now) == {"notes"}
        now += delays[-1]
        assert queues.held(now=now) == set()

    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0, MAX_DELAY, MAX_DELAY]


def test_a_send_that_succeeds_ends_the_trouble_and_the_back_off() -> None:
    queues = UnavailableQueues()
    queues.note_send({"notes"}, FULL, now=0.0)
    queues.note_send({"notes"}, {}, now=1.0)

    assert (queues.troubles(), queues.held(now=1.0), bool(queues)) == ({}, set(), False)
    queues.note_send({"notes"}, FULL, now=2.0)
    assert queues.next_attempt(now=2.0) == 0.25


def test_each_duty_has_its_own_errors() -> None:
    queues = UnavailableQueues()
    queues.note_send({"notes"}, FULL, now=0.0)
    queues.note("loss detection", LEADERLESS)
    queues.note_send({"notes"}, {}, now=1.0)

    assert queues.troubles() == {"notes": {"reason": "has no leader", "fix": "start nodes"}}
    queues.note("loss detection", {})
    assert queues.troubles() == {}


def test_a_queue_to_which_nothing_is_to_be_sent_any_more_is_forgotten() -> None:
    queues = UnavailableQueues()
    queues.note_send({"notes"}, FULL, now=0.0)
    queues.forget_idle(now=FORGET_AFTER)
    assert queues.troubles()
    queues.forget_idle(now=FORGET_AFTER + 1.0)

    assert queues.troubles() == {}


def test_a_queue_that_refused_tasks_is_named_until_it_is_not_refused_again_in_time() -> None:
    queues = UnavailableQueues()
    queues.note_tasks(FULL, now=0.0)
    queues.note_tasks({}, now=1.0)  # tasks of other queues
    queues.forget_idle(now=TASKS_REFUSED_FOR)
    assert queues.troubles().keys() == {"notes"}
    assert queues.held(now=1.0) == set()
    queues.forget_idle(now=TASKS_REFUSED_FOR + 1.0)

    assert queues.troubles() == {}
