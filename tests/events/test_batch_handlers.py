"""Handlers of batches: one call for all events of a transaction, and each event counts alone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from events import Database, envelope, envelopes, reading, subscribe_batch
from events.dispatch import Result, dispatch
from events.errors import SubscriptionError
from events.tables import Delivery, LogEntry
from events.testing import Bus
from tests.events.sample import (
    Mark,
    Noted,
    Replied,
    deliveries,
    failed_attempts,
    marks,
    new_subscription,
    note,
    send,
)


def batches(handler: Callable[..., Any]) -> Any:
    """Return a subscription whose handler takes up to three events at once."""
    return replace(new_subscription(handler, batch=3), takes_batch=True)


def mark_all(events: Sequence[Noted], session: Session) -> None:
    """Mark all in one statement."""
    session.execute(insert(Mark), [{"what": each.text} for each in events])


def states() -> list[str]:
    return sorted(each.state for each in deliveries())


def run(subscription: Any) -> list[Any]:
    """Dispatch all messages of the subscription; return the outcomes."""
    messages = send(subscription)
    return [
        outcome
        for each in messages
        for outcome in dispatch(subscription, each.event_ids, worker="w").outcomes
    ]


def test_the_events_of_a_transaction_come_as_one_list(any_database: Database) -> None:
    sizes = []

    def handler(events: Sequence[Noted], session: Session) -> None:
        sizes.append(len(events))
        mark_all(events, session)

    note(*"abcd")

    assert {each.result for each in run(batches(handler))} == {Result.HANDLED}
    assert (sizes, marks(), states()) == ([3, 1], dict.fromkeys("abcd", 1), ["done"] * 4)


def test_what_follows_from_each_event_has_that_event_as_cause(any_database: Database) -> None:
    def handler(events: Sequence[Noted], session: Session) -> list[Any]:
        answers = [Replied(text=each.text) for each in events]
        return [answers[0], None, [answers[2], answers[2]]]

    causes = note("a", subject="N-1") + note("b", subject="N-2") + note("c", subject="N-3")
    run(batches(handler))

    with reading() as session:
        found = session.scalars(select(LogEntry).where(LogEntry.type == Replied.type)).all()
    assert sorted((each.data["text"], each.subject, each.causation_id) for each in found) == [
        ("a", "N-1", causes[0]),
        ("c", "N-3", causes[2]),
        ("c", "N-3", causes[2]),
    ]


def test_only_the_failing_event_of_a_batch_fails(any_database: Database) -> None:
    def handler(events: Sequence[Noted], session: Session) -> None:
        mark_all(events, session)
        if "b" in [each.text for each in events]:
            raise ValueError("no b")

    note(*"abc")

    outcomes = [each.result for each in run(batches(handler))]

    assert sorted(outcomes) == sorted([Result.HANDLED, Result.RETRYING, Result.HANDLED])
    assert marks() == {"a": 1, "c": 1}
    assert [each.message for each in failed_attempts()] == ["no b"]


@pytest.mark.parametrize("returned", [[], [None, None], Replied(text="x")])
def test_a_list_that_is_not_one_outcome_for_each_event_fails_with_the_fix(
    any_database: Database, returned: Any
) -> None:
    def handler(events: Sequence[Noted], session: Session) -> Any:
        mark_all(events, session)
        return returned

    note("a")
    run(batches(handler))

    assert marks() == {}
    assert "return a list with one for each, in their order, or None" in (
        failed_attempts()[0].message
    )


def test_a_second_delivery_of_the_message_calls_nothing(any_database: Database) -> None:
    subscription = batches(mark_all)
    note(*"ab")
    [message] = send(subscription)
    dispatch(subscription, message.event_ids, worker="w")

    again = dispatch(subscription, message.event_ids, worker="w")

    assert str(again) == "duplicate 2"
    assert marks() == {"a": 1, "b": 1}


def test_a_batch_that_takes_too_long_is_handled_one_by_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.dispatch.HANDLER_TIME", 0.05)
    sizes = []

    def handler(events: Sequence[Noted], session: Session) -> None:
        sizes.append(len(events))
        mark_all(events, session)
        if len(events) > 1:
            time.sleep(60.0)

    note(*"abc")

    assert {each.result for each in run(batches(handler))} == {Result.HANDLED}
    assert (sizes, marks()) == ([3, 1, 1, 1], dict.fromkeys("abc", 1))


def test_the_envelopes_of_the_batch_are_available_inside_its_handler_only(
    any_database: Database,
) -> None:
    seen: list[Any] = []

    def handler(events: Sequence[Noted], session: Session) -> None:
        pairs = zip(envelopes(), events, strict=True)
        seen.extend((cause.id, event.text) for cause, event in pairs)
        with pytest.raises(LookupError, match="envelopes\\(\\) inside one of a batch"):
            envelope()

    ids = note(*"ab")
    run(batches(handler))

    assert seen == list(zip(ids, "ab", strict=True))
    with pytest.raises(LookupError, match="no batch is being handled here"):
        envelopes()


def test_the_bus_of_tests_raises_the_error_of_a_batch_handler(database: Database) -> None:
    def handler(events: Sequence[Noted], session: Session) -> None:
        raise ValueError("no batch")

    note(*"ab")
    with Bus(subscriptions=[batches(handler)]) as bus, pytest.raises(ValueError, match="no batch"):
        bus.drain()

    with reading() as session:
        assert session.scalars(select(Delivery.state)).all() == ["retrying", "retrying"]


def test_a_batch_handler_with_other_arguments_is_refused_at_import() -> None:
    with pytest.raises(SubscriptionError, match="write \\(events, session\\)"):

        @subscribe_batch(Noted, queue="notes")
        def alone(events: list[Noted]) -> None:  # type: ignore[arg-type]
            """Take no session."""
