"""The time of a message and of a batch is bounded: a slow delivery does not hold up the others."""

import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from events import Database, DeadLetter, Retry, handlers, pace
from events import dispatch as dispatching
from events.deadline import DeadlineExceeded, deadline
from events.dispatch import OTHERS_FIRST, dispatch
from events.outcome import Result
from tests.events.sample import (
    Noted,
    deliveries,
    failed_attempts,
    mark,
    marks,
    new_subscription,
    note,
    send,
)
from tests.servers import HANG

SHORT = pytest.mark.usefixtures("short_times")


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound a batch and a message by a third of a second."""
    monkeypatch.setattr(dispatching, "HANDLER_TIME", 0.3)
    monkeypatch.setattr(dispatching, "MESSAGE_TIME", 0.3)


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch and a message have time for one delivery."""
    monkeypatch.setattr(handlers, "BATCH_TIME", 0.0)
    monkeypatch.setattr(dispatching, "MESSAGE_TIME", 0.0)


class Recorder:
    """A handler that records the order in which it ran, and dawdles over some notes."""

    def __init__(self, *slow: str, seconds: float = 0.6) -> None:
        self.slow, self.seconds, self.order = slow, seconds, list[str]()

    def __call__(self, event: Noted, session: Session) -> None:
        """Add a mark, after a while if the note is a slow one."""
        self.order.append(event.text)
        if event.text in self.slow:
            time.sleep(self.seconds)
        mark(event, session)


@SHORT
def test_a_slow_delivery_of_a_batch_is_handled_after_all_others(any_database: Database) -> None:
    handler = Recorder("slow")
    subscription = new_subscription(handler, batch=10)
    ids = note("a", "slow", "b", "c")
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    assert handler.order == ["a", "slow", "a", "b", "c", "slow"]
    assert (report.count(Result.HANDLED), failed_attempts()) == (4, [])
    assert marks() == dict.fromkeys(("a", "b", "c", "slow"), 1)


@SHORT
def test_slow_deliveries_come_last_too_in_a_batch_that_fails_for_another_reason(
    any_database: Database,
) -> None:
    handler = Recorder("slow", "slower")

    def fail_for_b(event: Noted, session: Session) -> None:
        handler(event, session)
        if event.text == "b":
            raise DeadLetter("no")

    subscription = new_subscription(fail_for_b, batch=10)
    ids = note("a", "b", "slow", "c", "slower", "d")
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    assert handler.order[-2:] == ["slow", "slower"]
    assert (report.count(Result.HANDLED), report.count(Result.DEAD)) == (5, 1)
    assert [row.error_type for row in failed_attempts()] == ["DeadLetter"]
    assert marks() == dict.fromkeys(("a", "c", "d", "slow", "slower"), 1)


@SHORT
def test_a_slow_delivery_on_its_own_takes_as_long_as_it_takes(any_database: Database) -> None:
    handler = Recorder("slow")
    subscription = new_subscription(handler, batch=10)
    ids = note("slow")
    send(subscription)
    dispatch(subscription, ids, worker="w")

    assert (handler.order, marks()) == (["slow"], {"slow": 1})


@SHORT
def test_a_batch_in_time_is_interrupted_neither_then_nor_later(any_database: Database) -> None:
    before = signal.getsignal(signal.SIGALRM)
    subscription = new_subscription(batch=10)
    ids = note("a", "b")
    send(subscription)
    dispatch(subscription, ids, worker="w")
    time.sleep(0.4)

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before
    assert marks() == {"a": 1, "b": 1}


@SHORT
def test_the_rest_of_a_slow_message_is_given_back_and_costs_no_attempt(
    any_database: Database,
) -> None:
    handler = Recorder("a")
    subscription = new_subscription(handler, batch=1)
    ids = note("a", "b", "c", "d")
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    assert (handler.order, report.count(Result.RETRYING)) == (["a"], 3)
    assert OTHERS_FIRST in str(report)
    first, *others = deliveries()
    assert first.state == "done"
    assert {(row.state, row.sent_at, row.attempts) for row in others} == {("pending", None, 0)}
    while messages := send(subscription):
        dispatch(subscription, messages[0].event_ids, worker="w")
    assert marks() == dict.fromkeys("abcd", 1)


def test_a_batch_of_unknown_pace_is_committed_when_its_time_is_over(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "BATCH_TIME", 0.0)
    monkeypatch.setattr(pace, "TARGET", 60.0)
    seen: list[int] = []

    def count_marks(event: Noted, session: Session) -> None:
        seen.append(marks().total())  # what is committed
        mark(event, session)

    subscription = new_subscription(count_marks, batch=10)
    note(*"abcd")
    [message] = send(subscription)
    report = dispatch(subscription, message.event_ids, worker="w")

    assert seen == [0, 1, 2, 3]
    assert (report.count(Result.HANDLED), failed_attempts()) == (4, [])
    assert {row.state for row in deliveries()} == {"done"}


def test_what_a_message_has_no_time_for_is_given_back_as_it_was(
    any_database: Database, no_time: None
) -> None:
    def fail_for_c(event: Noted, session: Session) -> None:
        if event.text == "c":
            raise ValueError("not yet")
        mark(event, session)

    ids = note("a", "b", "c", "d")
    failing = new_subscription(fail_for_c, retry=Retry(first=0.0, cap=0.0))
    send(failing)
    dispatch(failing, [ids[2]], worker="w")
    send(failing)
    report = dispatch(new_subscription(batch=10), ids, worker="w")

    assert (report.count(Result.HANDLED), report.count(Result.RETRYING)) == (1, 3)
    assert marks() == {"a": 1}
    states = {row.event_id: (row.state, row.attempts, row.sent_at) for row in deliveries()}
    left = [("pending", 0, None), ("retrying", 1, None), ("pending", 0, None)]
    assert [states[each] for each in ids[1:]] == left


def test_a_message_that_came_back_gives_its_rest_back_too(
    any_database: Database, no_time: None
) -> None:
    subscription = new_subscription(batch=10)
    ids = note(*"abc")
    send(subscription)
    report = dispatch(subscription, ids, worker="w", suspect=True)

    assert (report.count(Result.HANDLED), report.count(Result.RETRYING)) == (1, 2)
    assert (marks(), failed_attempts()) == ({"a": 1}, [])


def test_a_batch_that_is_split_takes_no_longer_than_a_message_may(
    any_database: Database, no_time: None
) -> None:
    def fail_for_a(event: Noted, session: Session) -> None:
        if event.text == "a":
            raise DeadLetter("no")
        mark(event, session)

    subscription = new_subscription(fail_for_a, batch=10)
    ids = note(*"abc")
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    # The one that failed comes last of a batch that is split.
    assert (report.count(Result.HANDLED), report.count(Result.RETRYING)) == (1, 2)
    assert (marks(), failed_attempts()) == ({"b": 1}, [])


def test_each_batch_of_a_message_is_a_transaction_of_its_own(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "TARGET", 60.0)
    seen: list[int] = []

    def count_marks(event: Noted, session: Session) -> None:
        seen.append(marks().total())  # what is committed
        mark(event, session)

    subscription = new_subscription(count_marks, batch=2)
    ids = note(*"abcde")
    [message] = send(subscription)
    dispatch(subscription, message.event_ids, worker="w")

    assert message.event_ids == tuple(ids)
    assert seen == [0, 0, 2, 2, 4]


def sleep_within_a_deadline(seconds: float, before: Callable[[], object] = lambda: None) -> None:
    """Sleep for so long, with a deadline of fifty milliseconds that begins before `before`."""
    with deadline(0.05) as restart:
        restart()
        before()
        time.sleep(seconds)


def test_a_deadline_ends_with_its_block() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(DeadlineExceeded):
        sleep_within_a_deadline(5.0)
    sleep_within_a_deadline(0.0)
    time.sleep(0.1)

    assert signal.getsignal(signal.SIGALRM) == before


class Collected:
    """An object whose finalizer lasts longer than the deadline of `sleep_within_a_deadline`."""

    def __del__(self) -> None:
        time.sleep(0.5)


def test_a_deadline_that_a_finalizer_swallows_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    swallowed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda met: swallowed.append(met.exc_type))

    with pytest.raises(DeadlineExceeded):
        sleep_within_a_deadline(5.0, before=Collected)

    assert swallowed == [DeadlineExceeded]


def test_a_deadline_in_another_thread_is_none() -> None:
    ends: list[str] = []

    def work() -> None:
        with deadline(0.02) as restart:
            restart()
            time.sleep(0.1)
        ends.append("in its own time")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(HANG)

    assert ends == ["in its own time"]
