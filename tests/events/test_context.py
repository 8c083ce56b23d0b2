"""The context: actor, correlation, trace and subject follow from a request to all it causes."""

import random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import (
    Actor,
    Context,
    Database,
    Envelope,
    acting,
    current,
    envelope,
    log,
    publish,
    reading,
    transaction,
)
from events.admin import replays
from events.settings import settings
from events.suspects import report_crash
from events.system_events import DeliveryDead
from events.tables import Delivery, LogEntry
from events.testing import Bus
from tests.events.sample import POLICY, Mark, Noted, Replied, delivery, new_subscription, note, send

ACTOR = Actor(user="ada", tenant="acme", ip="192.0.2.7", agent="curl/8")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def envelopes() -> dict[str, Envelope]:
    """Return the envelopes of the log by type; there must be one of each."""
    with reading() as session:
        found = [
            log.envelope(row)
            for row in session.scalars(select(LogEntry).order_by(LogEntry.position))
        ]
    assert len({each.type for each in found}) == len(found)
    return {each.type: each for each in found}


def same_origin(*compared: Envelope) -> bool:
    """Tell whether these carry one actor, correlation, trace and subject."""
    return (
        len(
            {(each.actor, each.correlation_id, each.traceparent, each.subject) for each in compared}
        )
        == 1
    )


def answer(event: Noted, session: Session) -> Replied:
    session.add(Mark(what=f"{envelope().subject} {envelope().actor.user}"))
    return Replied(text=event.text)


def test_events_caused_by_a_request_carry_its_actor_correlation_trace_and_subject(
    any_database: Database,
) -> None:
    correlation = uuid4()
    second = new_subscription(lambda event, session: None, Replied, name="more.ignore")
    with Bus(subscriptions=[new_subscription(answer), second]) as bus:
        with acting(Context(actor=ACTOR, correlation_id=correlation, traceparent=TRACE)):
            bus.publish(Noted(text="x"), subject="N-1")
        bus.drain()

    noted, replied = envelopes()["sample.noted"], envelopes()["sample.replied"]
    assert (noted.actor, noted.correlation_id, noted.traceparent, noted.subject) == (
        ACTOR,
        correlation,
        TRACE,
        "N-1",
    )
    assert same_origin(noted, replied)
    assert (noted.causation_id, replied.causation_id) == (None, noted.id)


def test_an_event_without_a_request_starts_its_own_correlation_and_trace(
    any_database: Database,
) -> None:
    note("x", "y")

    with reading() as session:
        first, second = session.scalars(select(LogEntry).order_by(LogEntry.position))
    assert (first.correlation_id, second.correlation_id) == (first.id, second.id)
    assert first.traceparent != second.traceparent
    assert first.actor == {}


def test_the_context_is_the_same_after_retries_and_a_replay(any_database: Database) -> None:
    broken = [True]

    def answer_when_repaired(event: Noted, session: Session) -> Replied:
        if broken:
            raise ValueError("still broken")
        return Replied(text=event.text)

    with Bus(subscriptions=[new_subscription(answer_when_repaired)], fail_fast=False) as bus:
        with acting(Context(actor=ACTOR, traceparent=TRACE)):
            bus.publish(Noted(text="x"), subject="N-1")
        for _ in range(POLICY.attempts):
            bus.advance(60)
        assert delivery().state == "dead"
        broken.clear()
        with acting(Context(actor=Actor(user="operator"))), transaction() as session:
            replays.start(session, who="operator", why="test", everything=True)
        bus.drain()

    found = envelopes()
    assert same_origin(*found.values())
    assert (
        found["sample.replied"].causation_id
        == found["delivery.dead"].causation_id
        == found["sample.noted"].id
    )


def test_the_alert_of_a_crash_loop_carries_the_context_of_the_event(
    any_database: Database,
) -> None:
    subscription = new_subscription(answer)
    with acting(Context(actor=ACTOR, traceparent=TRACE)):
        [event_id] = note("x")
    send(subscription)
    with transaction() as session:
        row = session.get_one(Delivery, (event_id, subscription.name))
        row.unfinished_starts = settings().max_crashes
    with transaction() as session:
        report_crash(session, subscription.name, [event_id], worker="w", why="its process died")

    found = envelopes()
    assert found[DeliveryDead.type].causation_id == event_id
    assert same_origin(*found.values())


def test_the_handled_envelope_is_available_inside_a_handler_only(any_database: Database) -> None:
    seen: list[UUID] = []

    def record_id(event: Noted, session: Session) -> None:
        seen.append(envelope().id)

    with Bus(subscriptions=[new_subscription(record_id)]) as bus:
        [event_id] = note("x")
        bus.drain()

    assert seen == [event_id]
    with pytest.raises(LookupError, match="no single event is being handled here"):
        envelope()


def test_the_external_call_runs_in_the_context_of_the_event_too(any_database: Database) -> None:
    seen: list[str | None] = []

    def ask(event: Noted, key: str) -> str:
        seen.append(envelope().subject)
        return "answer"

    with Bus(
        subscriptions=[new_subscription(lambda event, session, answer: None, call=ask)]
    ) as bus:
        note("x", subject="N-7")
        bus.drain()

    assert seen == ["N-7"]


def test_handlers_of_one_batch_do_not_see_each_others_context(any_database: Database) -> None:
    with Bus(subscriptions=[new_subscription(answer, batch=10)]) as bus:
        bus.shuffle = random.Random(1)
        for number in range(3):
            with acting(Context(actor=Actor(user=f"user-{number}"))):
                bus.publish(Noted(text=str(number)), subject=f"N-{number}")
        bus.drain()

    with reading() as session:
        replies = session.scalars(select(LogEntry).where(LogEntry.type == "sample.replied")).all()
    assert sorted((row.data["text"], row.subject, row.actor["user"]) for row in replies) == [
        (str(n), f"N-{n}", f"user-{n}") for n in range(3)
    ]


def test_the_context_ends_with_its_block() -> None:
    with acting(Context(actor=ACTOR)):
        assert current().actor == ACTOR
    assert current() == Context()


def test_publish_can_replace_the_subject_of_the_context(any_database: Database) -> None:
    with acting(Context(subject="N-1")), transaction() as session:
        publish(session, Noted(text="x"), subject="N-2")

    assert envelopes()["sample.noted"].subject == "N-2"
