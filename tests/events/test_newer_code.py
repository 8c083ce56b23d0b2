"""Deliveries that need newer code than a worker has wait for it, and nothing is lost meanwhile."""

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from events import Database, breakers, newer_code, reading, transaction
from events.breakers import Breaker
from events.dispatch import dispatch
from events.tables import LogEntry, SubscriptionRow, delivery_id
from events.testing import ManualClock
from tests.events.sample import (
    Replied,
    deliveries,
    delivery,
    failed_attempts,
    marks,
    new_subscription,
    note,
    send,
)

# Changes of a logged event, as newer code would have written it, with the reason why it waits.
WRITTEN_BY_NEWER_CODE: list[tuple[dict[str, Any], str]] = [
    ({"version": 2}, "sample.noted v2 is unknown: this process knows up to v1"),
    ({"type": "sample.burnt"}, "notes.mark does not take sample.burnt in this process"),
    ({"type": Replied.type}, "notes.mark does not take sample.replied in this process"),
    ({"data": {"text": "a", "tint": 1}}, "sample.noted v1 has fields that this process does not"),
]


def change(event_id: UUID, **values: Any) -> None:
    """Change an event in the log."""
    with transaction() as session:
        session.execute(update(LogEntry).where(LogEntry.id == event_id).values(values))


def test_what_a_worker_does_not_know_waits_and_the_rest_of_its_message_is_handled(
    any_database: Database,
) -> None:
    subscription = new_subscription(batch=20)
    ids = note(*map(str, range(10)))
    [message] = send(subscription)
    for event_id, (values, _) in zip(ids, WRITTEN_BY_NEWER_CODE, strict=False):
        change(event_id, **values)

    report = dispatch(subscription, message.event_ids, worker="old")

    assert str(report).startswith("handled 6, retrying 4")
    *waiting, first_known = deliveries()[:5]
    for row, (_, reason) in zip(waiting, WRITTEN_BY_NEWER_CODE, strict=True):
        assert (row.state, row.attempts, row.sent_at) == ("retrying", 0, None)
        assert str(row.error).startswith(reason)
    assert first_known.state == "done"
    assert marks() == Counter(map(str, range(4, 10)))
    assert failed_attempts() == []


def test_it_is_offered_again_soon_and_then_once_a_minute_until_a_worker_knows_it(
    any_database: Database, time: ManualClock
) -> None:
    subscription = new_subscription()
    [event_id] = note("a")
    change(event_id, version=2)
    waits = []
    for _ in range(60):
        [message] = send(subscription)
        [outcome] = dispatch(subscription, message.event_ids, worker="old").outcomes
        waits.append(round(outcome.wait, 1))
        time.advance(outcome.wait - 0.1)
        assert send(subscription) == []  # not before
        time.advance(0.2)

    assert waits[:10] == [newer_code.FIRST_WAIT] * 10
    assert waits == sorted(waits)
    assert waits[-3:] == [newer_code.MAX_WAIT] * 3
    change(event_id, version=1)  # as a worker that knows it reads it
    [message] = send(subscription)
    dispatch(subscription, message.event_ids, worker="new")
    assert (delivery().state, delivery().attempts, marks()) == ("done", 0, {"a": 1})


def test_a_subscription_of_newer_code_gets_its_deliveries_back_and_its_breaker_the_probe(
    any_database: Database,
) -> None:
    ids = note("a", "b")
    [message] = send(new_subscription(batch=10))
    key = delivery_id(ids[0], "notes.mark")
    with transaction() as session:
        session.execute(update(SubscriptionRow).values(depends_on="press"))
        breaker = breakers.lock(session, "press")
        breaker.state, breaker.probe = breakers.State.OPEN, key

    assert newer_code.release("notes.mark", message.event_ids)

    for row in deliveries():
        assert (row.state, row.attempts, row.sent_at) == ("retrying", 0, None)
        assert row.error == (
            "a worker has no notes.mark; deploy code that does, and the delivery goes on"
        )
    with reading() as session:
        assert session.scalar(select(Breaker.probe)) is None


@pytest.mark.parametrize("name", ["notes.none", "notes.mark.more"])
def test_a_subscription_that_nobody_registered_is_not_waited_for(
    name: str, database: Database
) -> None:
    note("a")
    [message] = send(new_subscription())

    assert not newer_code.release(name, [*message.event_ids, uuid4()])

    assert (delivery().state, delivery().sent_at is None) == ("pending", False)
