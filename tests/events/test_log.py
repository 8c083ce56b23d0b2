"""The log: what `publish` writes, and when an event is handled."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from events import (
    Context,
    Database,
    Event,
    acting,
    clock,
    log,
    publish,
    reading,
    scheduled,
    transaction,
)
from events.errors import PublishError
from events.new_entries import MAX_SUBJECT
from events.outgoing_tasks import OutgoingTask
from events.tables import Delivery, LogEntry
from events.testing import Bus
from events.transport import delay_on_commit
from tests.events.sample import Measured, Noted, Replied, marks, new_subscription, note, send


def count_rows(table: type[LogEntry] | type[Delivery]) -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_rolled_back_event_is_never_sent(any_database: Database) -> None:
    def publish_and_fail() -> None:
        with transaction() as session:
            publish(session, Noted(text="never"))
            raise ValueError("not after all")

    with pytest.raises(ValueError, match="not after all"):
        publish_and_fail()

    assert send(new_subscription()) == []
    assert (count_rows(LogEntry), count_rows(Delivery)) == (0, 0)


def test_a_transaction_wakes_the_relay_once_and_again_after_a_savepoint_that_did(
    postgres_database: Database,
) -> None:
    notified: list[str] = []

    def note_statement(_: Any, __: Any, statement: str, *___: Any) -> None:
        notified.extend(re.findall(r"pg_notify\(|NOTIFY", statement))

    event.listen(postgres_database.writer, "before_cursor_execute", note_statement)
    with transaction() as session:
        with suppress(ValueError), session.begin_nested():
            publish(session, Noted(text="never"))
            raise ValueError("not after all")
        for text in ("a", "b"):
            publish(session, Noted(text=text))
        log.wake(session)
        assert notified == ["pg_notify("] * 2  # with the rows; the first is rolled back
    with Session(postgres_database.writer) as session:  # one of an application, for long
        for number in (3, 4):
            publish(session, Noted(text="c"))
            session.commit()
            assert len(notified) == number


def test_publishing_only_writes_to_the_log(any_database: Database) -> None:
    with transaction() as session:
        ids = publish(session, Noted(text="a"), Noted(text="b"), Replied(text="c"), subject="N-1")
        assert count_rows(LogEntry) == 0  # not visible to others before the commit

    with reading() as session:
        assert [each.id for each in log.about(session, "N-1")] == ids
        assert {each.id for each in log.read(session, ids[:2])} == set(ids[:2])
    assert count_rows(Delivery) == 0


class Unpublished(Event):
    """An event without a type."""


def test_what_no_database_stores_is_refused_by_name_and_the_transaction_goes_on(
    any_database: Database,
) -> None:
    endless: list[Any] = []
    endless.append(endless)
    wrong: list[tuple[Any, Any, str]] = [
        (Noted(), "N\0", r"subject 'N.* is no text of at most 200 characters"),
        (Noted(), "N\ud800", r"subject 'N.* is no text of at most 200 characters"),
        (Noted(), "N" * (MAX_SUBJECT + 1), "subject 'NNN.* of at most 200 characters"),
        (Noted(), 5, "subject is a int; give a text"),
        ("noted", None, "a str is no event; publish an instance of a class with a type"),
        (Noted, None, "Noted is no event; publish an instance"),
        (Unpublished(), None, "a Unpublished is no event"),
        *(
            (Measured(value=each), None, r"the data of sample\.measured cannot be written as JSON")
            for each in (object(), b"\xff", endless)
        ),
    ]

    with transaction() as session:
        for event, subject, told in wrong:
            with pytest.raises(PublishError, match=told):
                publish(session, event, subject=subject)
        with acting(Context(subject="N\0")), pytest.raises(PublishError, match="subject"):
            publish(session, Noted())
        with acting(Context(traceparent="x" * 5000)):  # of an application that checks none
            publish(session, Measured(value="\0\ud800"), subject="N" * MAX_SUBJECT)

    with reading() as session:
        [entry] = session.scalars(select(LogEntry)).all()
    assert entry.data == {"value": "\0\ud800"}
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", str(entry.traceparent))


def test_without_a_transaction_nothing_is_published_scheduled_or_cancelled(
    any_database: Database,
) -> None:
    later = clock.now() + timedelta(hours=1)
    app = Celery("caller", broker="memory://", set_as_current=False)
    task = app.task(name="caller.count", shared=False)(count_rows)
    with transaction() as session:
        publish(session, Noted(), at=later, key="kept")
    acts: list[Callable[[Session], object]] = [
        lambda session: publish(session, Noted()),
        lambda session: publish(session, Noted(), at=later, key="new"),
        lambda session: scheduled.cancel(session, "kept"),
        lambda session: scheduled.reschedule(session, "kept", later),
        lambda session: delay_on_commit(session, task, "orders"),
    ]

    with Session(any_database.writer.execution_options(isolation_level="AUTOCOMMIT")) as session:
        for act in acts:
            with pytest.raises(PublishError, match=r"no transaction.*events\.transaction\(\)"):
                act(session)

    with reading() as session:
        assert [row.key for row in scheduled.listed(session)] == ["kept"]
        assert session.scalar(select(func.count()).select_from(OutgoingTask)) == 0
    assert count_rows(LogEntry) == 0


def test_publishing_no_events_changes_nothing(any_database: Database) -> None:
    with transaction() as session:
        assert publish(session) == []


def test_an_event_is_not_handled_before_its_publish_time(any_database: Database) -> None:
    with Bus(subscriptions=[new_subscription()]) as bus:
        with transaction() as session:
            publish(session, Noted(text="later"), at=bus.clock() + timedelta(hours=1))
            publish(session, Noted(text="now"))

        bus.advance(3590)
        assert marks() == {"now": 1}
        bus.advance(20)

    assert marks() == {"now": 1, "later": 1}


def test_ids_grow_with_time_so_that_the_log_reads_in_order(any_database: Database) -> None:
    ids = [*note("a"), *note("b"), *note("c")]

    assert ids == sorted(ids)
