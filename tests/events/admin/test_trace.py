"""Traces: each event of a subject with its deliveries and their attempts."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from events import Database, reading, transaction
from events.admin import subscriptions, trace
from events.testing import Bus
from tests.events.sample import Noted, Replied, failed_attempts, new_subscription, note


def answer(event: Noted, session: Session) -> Replied:
    if event.text == "fail":
        raise ValueError("no")
    return Replied(text=event.text)


ANSWERING = new_subscription(answer, name="notes.answer")
OTHER = new_subscription(lambda event, session: None, Replied, name="others.ignore")


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """A bus with two queues."""
    with Bus(subscriptions=[ANSWERING, OTHER], fail_fast=False) as bus:
        yield bus


def test_a_trace_shows_each_event_each_delivery_and_each_attempt(bus: Bus) -> None:
    note("a", subject="N-7")
    note("fail", subject="N-7")
    note("other", subject="N-8")
    bus.drain()

    with reading() as session:
        noted, failed, replied = trace.of(session, "N-7")
    types = [each.envelope.type for each in (noted, failed, replied)]
    assert types == ["sample.noted", "sample.noted", "sample.replied"]
    [done], [retrying], [last] = noted.deliveries, failed.deliveries, replied.deliveries
    assert (done.subscription, done.state, done.failed_attempts, done.done_at is not None) == (
        "notes.answer",
        "done",
        [],
        True,
    )
    assert (retrying.state, retrying.attempts, retrying.max_attempts, retrying.error) == (
        "retrying",
        1,
        3,
        "ValueError: no",
    )
    assert [row.id for row in retrying.failed_attempts] == [row.id for row in failed_attempts()]
    assert (last.subscription, last.queue, last.flower_task_id) == (
        "others.ignore",
        "others",
        f"{last.id}:1",
    )


def test_a_delivery_that_was_never_sent_has_no_flower_task(bus: Bus) -> None:
    with transaction() as session:
        subscriptions.pause(session, "notes.answer", who="ada", why="test")
    [event_id] = note("a", subject="N-7")
    bus.drain()

    with reading() as session:
        found = trace.of_event(session, event_id)
    assert found is not None
    assert [each.flower_task_id for each in found.deliveries] == [None]


def test_an_unknown_subject_or_event_has_no_trace(bus: Bus) -> None:
    with reading() as session:
        assert trace.of(session, "N-404") == []
        assert trace.of_event(session, uuid4()) is None
