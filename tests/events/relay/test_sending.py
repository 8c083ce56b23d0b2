import json
from uuid import UUID

import pytest
from sqlalchemy import event, insert, text, update
from uuid_utils.compat import uuid7

from events import Database, clock, ledger, reading, transaction
from events.admin import queues, subscriptions
from events.dispatch import dispatch
from events.messages import Message
from events.relay.sending import due_times, mark_due_as_sent, unmark_sent
from events.retry import Decision
from events.suspects import ISOLATE_AFTER_LOSSES
from events.tables import Delivery, LogEntry
from events.testing import ManualClock
from events.transport.protocol import encode
from tests.events.sample import (
    PATIENT,
    SECRET,
    deliveries,
    delivery,
    failure,
    hearing,
    mark,
    marks,
    note,
    send,
)

ONE = hearing()
TENS = hearing(batch=10)


def take(limit: int = 500) -> list[Message]:
    with transaction() as session:
        return mark_due_as_sent(session, "notes.mark", limit=limit)


@pytest.mark.parametrize(("waiting", "sizes"), [(1, [1]), (10, [10]), (25, [5, 10, 10])])
def test_a_backlog_travels_in_batches_and_a_single_delivery_alone(
    waiting: int, sizes: list[int], any_database: Database
) -> None:
    note(*map(str, range(waiting)))

    messages = send(TENS)

    assert sorted(len(message.event_ids) for message in messages) == sizes
    assert len({message.id for message in messages}) == len(sizes)


def test_without_a_batch_each_delivery_has_its_message(any_database: Database) -> None:
    note("a", "b", "c")

    assert [len(message.event_ids) for message in send(ONE)] == [1, 1, 1]


def test_what_is_sent_is_not_sent_again(any_database: Database) -> None:
    note("a")

    assert (len(send(ONE)), send(ONE)) == (1, [])
    assert delivery().sends == 1


def test_no_more_are_taken_at_once_than_asked_for_and_the_oldest_first(
    any_database: Database,
) -> None:
    ids = _waiting(10)

    assert [message.event_ids for message in take(limit=4)] == [tuple(ids[:4])]
    assert [message.event_ids for message in take(limit=4)] == [tuple(ids[4:8])]
    assert [message.event_ids for message in take(limit=4)] == [tuple(ids[8:])]


def _waiting(count: int) -> list[UUID]:
    """So many deliveries that nobody has sent yet."""
    ids = note(*map(str, range(count)))
    with transaction() as session:
        subscriptions.register(session, [TENS])
        session.execute(insert(Delivery), [_row(id) for id in ids])
    return ids


def _row(id: object) -> dict[str, object]:
    zero = dict.fromkeys(("attempts", "sends", "lost_count", "unfinished_starts"), 0)
    return {
        "subscription": "notes.mark",
        "event_id": id,
        "queue": "notes",
        "state": "pending",
        "due_at": clock.now(),
        **zero,
    }


def test_a_large_backlog_is_taken_in_a_moment(postgres_url: str) -> None:
    # The limited, locking subquery of one UPDATE was run again for each of the rows: minutes for 20,000.
    database = Database(postgres_url)
    Delivery.metadata.create_all(database.writer)
    now, ids = clock.now(), [uuid7() for _ in range(5000)]
    origin = {
        "type": "sample.noted",
        "version": 1,
        "source": "sample",
        "time": now,
        "actor": {},
        "data": {},
        "publish_at": now,
    }
    try:
        with database.transaction() as session:
            subscriptions.register(session, [TENS])
            session.execute(
                insert(LogEntry),
                [{"id": id, "correlation_id": id, "relayed_at": now, **origin} for id in ids],
            )
            session.execute(insert(Delivery), [_row(id) for id in ids])
        with database.transaction() as session:
            session.execute(text("SET LOCAL statement_timeout = '2s'"))
            assert (
                sum(
                    len(message.event_ids)
                    for message in mark_due_as_sent(session, "notes.mark", limit=500)
                )
                == 500
            )
    finally:
        database.close()


def test_a_suspect_travels_alone_and_its_neighbours_do_not_wait_for_it(
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

    again = take()

    assert sorted(len(message.event_ids) for message in again) == [1, 2]
    assert [message.event_ids for message in again if suspect in message.event_ids] == [(suspect,)]
    assert not {message.id for message in messages} & {
        message.id for message in again
    }  # a reused id could vanish in Celery


def test_a_paused_subscription_is_not_sent_and_is_after_it_is_resumed(
    any_database: Database,
) -> None:
    _waiting(1)
    with transaction() as session:
        subscriptions.pause(session, "notes.mark", who="ada", why="the printer is on fire")

    with reading() as session:
        assert due_times(session) == {}
    with transaction() as session:
        subscriptions.resume(session, "notes.mark", who="ada")
    with reading() as session:
        assert list(due_times(session)) == ["notes.mark"]


def test_a_delivery_that_is_on_its_way_when_its_subscription_is_paused_comes_back_unharmed(
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


def test_a_label_says_what_it_is_about_and_holds_no_personal_data(any_database: Database) -> None:
    note(SECRET, SECRET, SECRET, subject="ORD-1042")
    [message] = send(TENS)

    body, headers = encode(message, origin="relay")

    assert message.label == "sample.noted ORD-1042, 2 more"
    assert SECRET.encode() not in body + json.dumps(headers).encode()


def test_an_event_without_a_subject_is_labelled_by_its_type(any_database: Database) -> None:
    note("a", subject=None)

    assert [message.label for message in send(ONE)] == ["sample.noted"]


def test_a_message_tells_how_often_its_delivery_has_failed(any_database: Database) -> None:
    note("a")
    [message] = send(ONE)
    with transaction() as session:
        ledger.fail(session, "notes.mark", message.event_ids[0], failure(), Decision(wait=0.0))

    [again] = send(ONE)
    assert (again.retries, again.id) == (1, f"{message.event_ids[0]}:notes.mark:2")


def test_what_the_broker_did_not_take_is_due_again_at_once(any_database: Database) -> None:
    note("a", "b")
    messages = send(ONE)
    with transaction() as session:
        unmark_sent(session, messages)

    again = take()

    assert {message.event_ids for message in again} == {message.event_ids for message in messages}
    assert {row.sends for row in deliveries()} == {2}


def test_what_arrived_all_the_same_and_is_done_is_not_taken_back(any_database: Database) -> None:
    note("a")
    messages = send(ONE)
    dispatch(ONE, messages[0].event_ids, worker="w")
    with transaction() as session:
        unmark_sent(session, messages)

    assert (delivery().state, delivery().sent_at is not None) == ("done", True)
    assert (take(), marks()) == ([], {"a": 1})


def test_the_next_due_time_is_that_of_the_earliest_retry(
    any_database: Database, time: ManualClock
) -> None:
    note("a", "b")
    for message, wait in zip(send(ONE), (30.0, 20.0), strict=True):
        with transaction() as session:
            ledger.fail(session, "notes.mark", message.event_ids[0], failure(), Decision(wait=wait))

    with reading() as session:
        assert (due_times(session)["notes.mark"] - time()).total_seconds() == 20.0


def test_what_the_relay_asks_often_costs_what_is_open_and_not_what_is_done(
    database: Database,
) -> None:
    # SQLite uses a partial index only if it sees the values of its condition in the statement.
    asked: list[tuple[str, object]] = []
    event.listen(
        database.reader,
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: asked.append((statement, values)),
    )
    with reading() as session:
        due_times(session)
        queues.overview(session)
        ledger.last_settled(session, "notes")
        questions = [each for each in asked if "deliveries" in each[0]]
        plans = [
            str(session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all())
            for sql, values in questions
        ]  # type: ignore[arg-type]

    assert "ix_deliveries_due" in plans[0]
    assert "ix_deliveries_done" in plans[-1]
    assert [plan for plan in plans if "SCAN deliveries'" in plan] == []


def test_registering_with_another_batch_changes_how_the_next_are_sent(
    any_database: Database,
) -> None:
    note("a", "b")
    assert len(send(hearing(mark, batch=2, retry=PATIENT))) == 1
    note("c", "d")
    assert len(send(hearing(mark, batch=1, retry=PATIENT))) == 2
