"""What an operator sees: queues, traces, heartbeats, invalid_messages."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from events import Database, heartbeat, reading, transaction
from events.admin import audit, invalid_messages, queues, subscriptions, trace
from events.admin.queues import QueueView
from events.errors import UnknownDelivery
from events.tables import Heartbeat
from events.testing import Bus, ManualClock
from tests.events.sample import Heard, Noted, hearing, note, send, tries


def answer(event: Noted, session: Session) -> Heard:
    if event.text == "fail":
        raise ValueError("no")
    return Heard(text=event.text)


ANSWERING = hearing(answer, name="notes.answer")
OTHER = hearing(lambda event, session: None, Heard, name="others.hear")


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """A bus with two queues."""
    with Bus(subscriptions=[ANSWERING, OTHER], fail_fast=False) as bus:
        yield bus


def view(name: str) -> QueueView:
    with reading() as session:
        [found] = [each for each in queues.overview(session) if each.name == name]
    return found


def test_a_queue_shows_what_waits_what_is_retried_and_what_is_dead(bus: Bus) -> None:
    note("fail")
    bus.drain()
    assert (view("notes").waiting, view("notes").retrying, view("notes").dead) == (0, 1, 0)
    bus.advance(100)
    bus.advance(100)
    note("a", "b")
    send(ANSWERING)

    found = view("notes")
    assert (found.waiting, found.retrying, found.dead, found.paused, found.workers) == (
        2,
        0,
        1,
        False,
        0,
    )
    assert view("others") == QueueView(name="others")


def test_what_is_done_or_discarded_is_not_counted(bus: Bus) -> None:
    note("a", "b")
    bus.drain()

    assert view("notes") == QueueView(name="notes")
    assert view("others").oldest is None


def test_the_age_of_a_queue_is_that_of_its_oldest_open_event(
    any_database: Database, time: ManualClock
) -> None:
    note("a")
    time.advance(30)
    note("b")
    send(ANSWERING)
    time.advance(12)

    assert view("notes").oldest == 42.0


def test_a_paused_subscription_shows_on_its_queue(bus: Bus) -> None:
    with transaction() as session:
        subscriptions.pause(session, "notes.answer", who="ada", why="mending")

    assert (view("notes").paused, view("others").paused) == (True, False)


def test_events_that_nobody_has_fanned_out_yet_are_counted(bus: Bus) -> None:
    note("a", "b")
    with reading() as session:
        assert queues.unrelayed(session) == 2
    bus.drain()
    with reading() as session:
        assert queues.unrelayed(session) == 0


def test_workers_count_while_they_beat(any_database: Database, time: ManualClock) -> None:
    heartbeat.beat("notes@one", "worker", ["notes"])
    heartbeat.beat("notes@two", "worker", ["notes", "others"])
    heartbeat.beat("relay@one", "relay", trouble="the broker is away")

    assert (view("notes").workers, view("others").workers) == (2, 1)
    time.advance(16)
    heartbeat.beat("notes@two", "worker", ["notes", "others"])
    with reading() as session:
        assert [row.name for row in heartbeat.alive(session)] == ["notes@two"]
        assert [row.name for row in heartbeat.alive(session, within=60)] == [
            "notes@one",
            "notes@two",
            "relay@one",
        ]
    assert view("notes").workers == 1


def test_a_beat_tells_of_trouble_until_it_is_over(any_database: Database) -> None:
    heartbeat.beat("relay@one", "relay", trouble="the broker is away")
    with reading() as session:
        assert [row.trouble for row in heartbeat.alive(session)] == ["the broker is away"]
    heartbeat.beat("relay@one", "relay")
    with reading() as session:
        assert [(row.trouble, row.pid) for row in heartbeat.alive(session)] == [(None, os.getpid())]


def test_who_leaves_is_gone_and_who_was_silent_for_an_hour_is_forgotten(
    any_database: Database, time: ManualClock
) -> None:
    for name in ("a", "b"):
        heartbeat.beat(name, "worker")
    heartbeat.leave("a")
    time.advance(3700)
    heartbeat.beat("c", "worker")

    with reading() as session:
        assert session.scalars(select(Heartbeat.name)).all() == ["c"]


def test_a_process_that_started_anew_shows_its_own_start(
    any_database: Database, time: ManualClock
) -> None:
    heartbeat.beat("a", "worker", ["notes"])
    with transaction() as session:
        session.execute(update(Heartbeat).values(pid=-1))  # the one before
    time.advance(5)
    heartbeat.beat("a", "worker", ["others"])

    with reading() as session:
        [row] = heartbeat.alive(session)
    assert (row.started_at, row.queues) == (time(), ["others"])


def test_a_trace_tells_each_event_each_delivery_and_each_try(bus: Bus) -> None:
    note("a", subject="N-7")
    note("fail", subject="N-7")
    note("other", subject="N-8")
    bus.drain()

    with reading() as session:
        noted, failed, heard = trace.of(session, "N-7")
    assert [each.envelope.type for each in (noted, failed, heard)] == [
        "sample.noted",
        "sample.noted",
        "sample.heard",
    ]
    [done], [retrying], [last] = noted.deliveries, failed.deliveries, heard.deliveries
    assert (done.subscription, done.state, done.tries, done.done_at is not None) == (
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
    assert [row.id for row in retrying.tries] == [row.id for row in tries()]
    assert (last.subscription, last.queue, last.flower_task_id) == (
        "others.hear",
        "others",
        f"{last.id}:1",
    )


def test_what_was_never_sent_has_no_task_to_look_at(bus: Bus) -> None:
    with transaction() as session:
        subscriptions.pause(session, "notes.answer", who="ada", why="")
    [id] = note("a", subject="N-7")
    bus.drain()

    with reading() as session:
        found = trace.of_event(session, id)
    assert found is not None
    assert [each.flower_task_id for each in found.deliveries] == [None]


def test_nothing_is_known_of_what_never_was(bus: Bus) -> None:
    with reading() as session:
        assert trace.of(session, "N-404") == []
        assert trace.of_event(session, uuid4()) is None


def keep(**changes: object) -> None:
    values = {
        "queue": "notes",
        "reason": "undecodable",
        "error": "E",
        "headers": "{}",
        "body": b"\x00\xff",
    } | changes
    with transaction() as session:
        invalid_messages.keep(session, **values)  # type: ignore[arg-type]


def test_a_invalid_message_is_kept_with_its_raw_body_until_somebody_discards_it(
    any_database: Database,
) -> None:
    keep()
    keep(body=b"second")
    with reading() as session:
        newest, oldest = invalid_messages.listed(session)
    assert (newest.body, oldest.body, oldest.queue) == (b"second", b"\x00\xff", "notes")

    with transaction() as session:
        invalid_messages.discard(session, oldest.id, who="ada", why="a scanner")
    with reading() as session:
        assert [row.id for row in invalid_messages.listed(session)] == [newest.id]
        assert invalid_messages.count(session) == 1
        assert [(row.who, row.target, row.why) for row in audit.listed(session)] == [
            ("ada", f"invalid message {oldest.id}", "a scanner")
        ]


def test_a_invalid_message_that_is_not_there_cannot_be_discarded(any_database: Database) -> None:
    with transaction() as session, pytest.raises(UnknownDelivery):
        invalid_messages.discard(session, 404, who="ada", why="")


@pytest.mark.parametrize("name", ["queue", "reason", "error", "headers"])
def test_a_invalid_message_is_kept_whatever_is_in_it(name: str, any_database: Database) -> None:
    for value in ("NUL \x00", "half a character \ud83d", "x" * 100_000, "\x00" * 1000, ""):
        keep(**{name: value})

    with reading() as session:
        assert len(invalid_messages.listed(session)) == 5
