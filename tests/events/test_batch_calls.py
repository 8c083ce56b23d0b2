"""Calls that take a batch: one call for a group of events, and an outcome of its own for each."""

import threading
import time
from collections.abc import Iterator

import pytest

from events import Database, DeadLetter, Unavailable, calls, envelopes, pace
from events.dispatch import dispatch
from events.outcome import Report, Result
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


class Gateway:
    """An outside service that takes many requests at once; the texts of notes say its answers."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.seconds, self.groups, self.keys = seconds, list[str](), list[str]()
        self.threads = set[str]()

    def __call__(self, events: list[Noted], keys: list[str]) -> Iterator[str | Exception]:
        """Answer each request of a group, or fail amid it."""
        self.groups.append("".join(event.text[0] for event in events))
        self.threads.add(threading.current_thread().name)
        for event, key, envelope in zip(events, keys, envelopes(), strict=True):
            time.sleep(self.seconds)
            self.keys.append(key)
            assert key.startswith(str(envelope.id))
            if event.text == "refused":
                yield DeadLetter("no")
            elif event.text == "bug" and len(self.groups) < 2:
                raise ValueError("bug")
            elif event.text == "gone":
                raise Unavailable("closed")
            elif event.text == "exit":
                raise SystemExit
            elif event.text != "silent":
                yield event.text
            if event.text == "twice":
                yield event.text


@pytest.fixture(autouse=True)
def fast(any_database: Database) -> None:
    """Let the calls be known as quick, so that groups are formed."""
    pace.learn("call of notes.mark", 1, 0.0001)


def handled(gateway: Gateway, *texts: str) -> Report:
    """Return the report of a message with notes."""
    subscription = new_subscription(record, call_batch=gateway, batch=20)
    ids = note(*texts)
    send(subscription)
    return dispatch(subscription, ids, worker="w")


def test_a_group_is_one_call_without_a_thread_and_each_event_has_its_own_answer() -> None:
    gateway = Gateway()
    report = handled(gateway, "a", "refused", "c")

    assert (gateway.groups, gateway.threads) == (["arc"], {threading.current_thread().name})
    assert (report.count(Result.HANDLED), report.count(Result.DEAD)) == (2, 1)
    assert [row.state for row in deliveries()] == ["done", "dead", "done"]
    assert (marks(), len(set(gateway.keys))) == ({"a": 1, "c": 1}, 3)


def test_what_a_failed_call_leaves_unanswered_is_called_for_alone() -> None:
    gateway = Gateway()
    report = handled(gateway, "a", "bug", "c", "d")

    assert gateway.groups == ["abcd", "b", "c", "d"]  # and a has its answer
    assert report.count(Result.HANDLED) == 4
    assert failed_attempts() == []


def test_an_unavailable_service_is_not_asked_again_for_each_event() -> None:
    gateway = Gateway()
    handled(gateway, "a", "gone", "c")

    assert gateway.groups == ["agc"]
    assert [row.state for row in deliveries()] == ["done", "retrying", "retrying"]
    assert [row.error_type for row in failed_attempts()] == ["Unavailable"] * 2


@pytest.mark.parametrize("texts", [("silent",), ("twice",), ("a", "silent", "c"), ("a", "twice")])
def test_too_few_or_too_many_answers_fit_no_event(texts: tuple[str, ...]) -> None:
    handled(Gateway(), *texts)

    assert [row.state for row in deliveries()] == ["retrying"] * len(texts)
    assert {row.message[-50:] for row in failed_attempts()} == {
        f"must yield one answer for each of its {len(texts)} events, and no more"[-50:]
    }


def test_slow_calls_are_made_in_small_groups_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "START_INTERVAL", 0.2)
    pace.learn("call of notes.mark", 1, 0.3)  # 0.09 s on average: two of them in 0.2 s
    gateway = Gateway(seconds=0.3)
    report = handled(gateway, *"abcdef")

    assert report.count(Result.HANDLED) == 6
    assert sorted(gateway.groups) == ["ab", "cd", "ef"]  # side by side
    assert gateway.threads == {"call"}


@pytest.mark.parametrize("texts", [("exit",), ("a", "exit", "b")])
def test_a_call_that_exits_ends_the_whole_batch(texts: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        handled(Gateway(), *texts)

    assert {(row.state, row.attempts) for row in deliveries()} == {("pending", 0)}
