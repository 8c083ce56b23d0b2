"""Sending: due deliveries become messages, and are marked as sent."""

import json
from collections import Counter
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import update

from events import Database, ledger, reading, transaction
from events.admin import subscriptions
from events.dispatch import dispatch
from events.messages import Message
from events.relay.round import do_round, survey
from events.relay.sending import mark_due_as_sent, unmark_sent
from events.relay.window import MESSAGE_SIZE, traffic
from events.retry import Decision
from events.suspects import ISOLATE_AFTER_LOSSES, report_crash
from events.tables import Delivery
from events.testing import ManualClock
from events.transport.protocol import encode
from tests.events.sample import (
    POLICY,
    SECRET,
    deliveries,
    delivery,
    failure,
    mark,
    marks,
    new_subscription,
    note,
    send,
)

ONE = new_subscription()
TENS = new_subscription(batch=10)


def mark_due(*, room: int = 100, size: int = MESSAGE_SIZE) -> list[Message]:
    """Mark due deliveries as sent; return their messages, so many of that size at most."""
    with transaction() as session:
        [subscription] = traffic(session.connection(), Counter())
        subscription.room, subscription.size = room, size
        return mark_due_as_sent(session, subscription)


def sizes(messages: list[Message]) -> list[int]:
    """Return the number of deliveries in each message, the smallest first."""
    return sorted(len(message.event_ids) for message in messages)


def next_due() -> datetime | None:
    """Return when the relay has something to send next."""
    with reading() as session:
        return survey(session.connection(), Counter()).due_at


@pytest.mark.parametrize(
    ("backlog", "expected"), [(1, [1]), (10, [10]), (MESSAGE_SIZE + 10, [10, MESSAGE_SIZE])]
)
def test_a_backlog_is_sent_in_batches_and_a_single_delivery_alone(
    backlog: int, expected: list[int], any_database: Database
) -> None:
    note(*map(str, range(backlog)))

    messages = send(TENS)

    assert sizes(messages) == expected
    assert len({message.id for message in messages}) == len(expected)


def test_without_a_batch_deliveries_share_a_message_all_the_same(any_database: Database) -> None:
    note("a", "b", "c")

    assert sizes(send(ONE)) == [3]


def test_a_sent_delivery_is_not_sent_again(any_database: Database) -> None:
    note("a")

    assert (len(send(ONE)), send(ONE)) == (1, [])
    assert delivery().sends == 1


def test_no_more_deliveries_are_marked_than_there_is_room_for_and_the_oldest_first(
    any_database: Database,
) -> None:
    event_ids = unsent(10)

    for ids in (event_ids[:4], event_ids[4:8], event_ids[8:]):
        assert [message.event_ids for message in mark_due(room=1, size=4)] == [tuple(ids)]
    assert mark_due(room=1, size=4) == []


def unsent(count: int) -> list[UUID]:
    """Make so many deliveries that have not been sent yet; return the ids of their events."""
    event_ids = note(*map(str, range(count)))
    with transaction() as session:
        subscriptions.register(session, [TENS])
        do_round(session, Counter(), can_send=False)
    return event_ids


def test_a_suspect_is_sent_alone_and_its_neighbours_do_not_wait_for_it(
    any_database: Database,
) -> None:
    suspect, *_ = note("suspect", "b", "c")
    messages = send(TENS)
    with transaction() as session:
        session.execute(update(Delivery).values(sent_at=None))
        session.execute(
            update(Delivery)
            .where(Delivery.event_id == suspect)
            .values(lost_count=ISOLATE_AFTER_LOSSES)
        )

    again = mark_due()

    assert sizes(again) == [1, 2]
    assert [message.event_ids for message in again if suspect in message.event_ids] == [(suspect,)]
    # Celery could drop a message whose id it has seen before.
    assert not {message.id for message in messages} & {message.id for message in again}


def test_suspects_and_the_others_of_a_backlog_do_not_wait_for_each_other(
    any_database: Database,
) -> None:
    note(*map(str, range(MESSAGE_SIZE)))
    [message] = send(ONE)
    with transaction() as session:
        report_crash(session, ONE.name, message.event_ids, worker="w")
    note(*map(str, range(5 * MESSAGE_SIZE)))
    handled: list[int] = []
    in_flight = send(ONE)
    while in_flight:
        message = in_flight.pop(0)
        dispatch(ONE, message.event_ids, worker="w")
        handled.append(len(message.event_ids))
        in_flight += send(ONE)

    assert Counter(handled[:10]) == {MESSAGE_SIZE: 5, 1: 5}
    assert Counter(handled[10:]) == {1: MESSAGE_SIZE - 5}
    assert {(row.state, row.attempts) for row in deliveries()} == {("done", 0)}


def test_a_paused_subscription_has_no_due_time_until_it_is_resumed(
    any_database: Database,
) -> None:
    unsent(1)
    with transaction() as session:
        subscriptions.pause(session, "notes.mark", who="ada", why="the printer is on fire")

    assert next_due() is None
    with transaction() as session:
        subscriptions.resume(session, "notes.mark", who="ada", why="test")
    assert next_due() is not None


def test_a_delivery_in_flight_when_its_subscription_is_paused_is_released(
    any_database: Database,
) -> None:
    note("a")
    [message] = send(ONE)
    with transaction() as session:
        subscriptions.pause(session, "notes.mark", who="ada", why="the printer is on fire")

    report = dispatch(ONE, message.event_ids, worker="w")

    assert str(report).startswith("retrying")
    row = delivery()
    assert (row.state, row.attempts, row.sent_at, marks()) == ("pending", 0, None, {})


def test_a_label_names_type_and_subject_and_holds_no_personal_data(any_database: Database) -> None:
    note(SECRET, SECRET, SECRET, subject="ORD-1042")
    [message] = send(TENS)

    body, headers = encode(message, origin="relay")

    assert message.label == "sample.noted ORD-1042, 2 more"
    assert SECRET.encode() not in body + json.dumps(headers).encode()


def test_an_event_without_a_subject_is_labelled_by_its_type(any_database: Database) -> None:
    note("a", subject=None)

    assert [message.label for message in send(ONE)] == ["sample.noted"]


def test_a_message_carries_the_number_of_failed_attempts(any_database: Database) -> None:
    note("a")
    [message] = send(ONE)
    with transaction() as session:
        ledger.fail(session, "notes.mark", message.event_ids[0], failure(), Decision(wait=0.0))

    [again] = send(ONE)
    assert (again.retries, again.id) == (1, f"{message.event_ids[0]}:notes.mark:2")


def test_a_delivery_whose_message_was_refused_is_due_again_at_once(any_database: Database) -> None:
    note("a", "b")
    messages = send(ONE)
    with transaction() as session:
        unmark_sent(session, messages)

    again = mark_due()

    assert {message.event_ids for message in again} == {message.event_ids for message in messages}
    assert {row.sends for row in deliveries()} == {2}


def test_a_done_delivery_is_not_unmarked(any_database: Database) -> None:
    note("a")
    messages = send(ONE)
    dispatch(ONE, messages[0].event_ids, worker="w")
    with transaction() as session:
        unmark_sent(session, messages)

    assert (delivery().state, delivery().sent_at is not None) == ("done", True)
    assert (mark_due(), marks()) == ([], {"a": 1})


def test_the_next_due_time_is_that_of_the_earliest_retry(
    any_database: Database, time: ManualClock
) -> None:
    for event_id, wait in zip(note("a", "b"), (30.0, 20.0), strict=True):
        send(ONE)
        with transaction() as session:
            ledger.fail(session, "notes.mark", event_id, failure(), Decision(wait=wait))

    due_at = next_due()
    assert due_at is not None
    assert (due_at - time()).total_seconds() == 20.0


def test_a_new_batch_size_applies_to_the_next_messages(
    any_database: Database,
) -> None:
    many = [str(number) for number in range(MESSAGE_SIZE + 10)]
    note(*many)
    assert sizes(send(new_subscription(mark, batch=200, retry=POLICY))) == [len(many)]
    note(*many)
    assert sizes(send(new_subscription(mark, batch=20, retry=POLICY))) == [MESSAGE_SIZE]
