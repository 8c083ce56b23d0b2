"""The calls of a batch: side by side, each with its own end, and within a budget of time."""

import threading
import time
from collections import Counter

import pytest
from sqlalchemy.orm import Session

from events import Database, DeadLetter, calls, context
from events.dispatch import dispatch
from events.outcome import Result
from tests.events.sample import (
    Noted,
    deliveries,
    failed_attempts,
    marks,
    new_subscription,
    note,
    record,
    send,
)
from tests.servers import HANG


class Gateway:
    """An outside service; the text of a note says how it answers."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.seconds, self.keys, self.threads = seconds, Counter[str](), set[str]()
        self.open, self.most = 0, 0
        self._lock = threading.Lock()

    def __call__(self, event: Noted, key: str) -> str:
        """Answer after a while, or fail."""
        with self._lock:
            self.keys[key] += 1
            self.open += 1
            self.most = max(self.most, self.open)
        try:
            time.sleep(self.seconds)
            if event.text == "lost":
                raise ConnectionError("lost")
            if event.text == "expired":
                raise DeadLetter("the card is expired")
            if event.text == "exit":
                raise SystemExit
            return f"{event.text} of {context.current().subject}"
        finally:
            with self._lock:
                self.open -= 1


def test_the_calls_of_a_batch_run_side_by_side_and_are_recorded_together(
    any_database: Database,
) -> None:
    gateway = Gateway(seconds=0.3)
    subscription = new_subscription(record, call=gateway, batch=20)
    ids = note(*map(str, range(6)))
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    assert str(report) == "handled 6"
    assert 2 <= gateway.most <= calls.MAX_THREADS
    assert marks() == {f"{number} of N-1": 1 for number in range(6)}


def test_calls_that_end_at_once_need_no_second_thread(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "START_INTERVAL", HANG)  # on a busy machine "at once" takes a while
    gateway = Gateway()
    subscription = new_subscription(record, call=gateway, batch=20)
    ids = note(*map(str, range(20)))
    send(subscription)
    dispatch(subscription, ids, worker="w")

    assert (gateway.most, gateway.keys.total()) == (1, 20)


def test_each_failing_call_of_a_batch_fails_alone(any_database: Database) -> None:
    gateway = Gateway()
    subscription = new_subscription(record, call=gateway, batch=20)
    ids = note("a", "lost", "b", "expired", "c")
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    counts = [report.count(each) for each in (Result.HANDLED, Result.RETRYING, Result.DEAD)]
    assert counts == [3, 1, 1]
    assert [row.state for row in deliveries()] == ["done", "retrying", "done", "dead", "done"]
    assert {row.error_type for row in failed_attempts()} == {"ConnectionError", "DeadLetter"}
    assert set(gateway.keys.values()) == {1}  # the failure of one repeats no other call
    assert marks() == {f"{text} of N-1": 1 for text in "abc"}


def test_answers_are_kept_when_one_of_them_cannot_be_recorded(any_database: Database) -> None:
    gateway = Gateway()

    def refuse_b(event: Noted, session: Session, answer: str) -> None:
        record(event, session, answer)
        if event.text == "b":
            raise ValueError("no room")

    subscription = new_subscription(refuse_b, call=gateway, batch=20)
    ids = note("a", "b", "c")
    send(subscription)
    dispatch(subscription, ids, worker="w")

    assert [row.state for row in deliveries()] == ["done", "retrying", "done"]
    assert set(gateway.keys.values()) == {1}


def test_a_call_that_is_not_begun_in_time_is_given_back_without_an_attempt(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_THREADS", 1)
    monkeypatch.setattr(calls, "TIME_BUDGET", 0.3)
    gateway = Gateway(seconds=0.2)
    subscription = new_subscription(record, call=gateway, batch=20)
    ids = note("a", "b", "c", "d")
    send(subscription)
    report = dispatch(subscription, ids, worker="w")

    begun = gateway.keys.total()
    assert 1 <= begun < 4
    assert report.count(Result.HANDLED) == begun
    waiting = deliveries()[begun:]
    assert {(row.state, row.sent_at, row.attempts) for row in waiting} == {("pending", None, 0)}
    assert failed_attempts() == []
    while messages := send(subscription):
        dispatch(subscription, messages[0].event_ids, worker="w")
    assert (marks().total(), set(gateway.keys.values())) == (4, {1})


@pytest.mark.parametrize("texts", [("exit",), ("a", "exit", "b")])
def test_a_call_that_exits_ends_the_whole_batch_as_a_handler_would(
    texts: tuple[str, ...], any_database: Database
) -> None:
    subscription = new_subscription(record, call=Gateway(), batch=20)
    ids = note(*texts)
    send(subscription)
    with pytest.raises(SystemExit):
        dispatch(subscription, ids, worker="w")

    assert {(row.state, row.attempts) for row in deliveries()} == {("pending", 0)}
    assert marks() == {}
