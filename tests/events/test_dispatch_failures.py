"""Dispatch of a handler that fails: a retry, then a dead letter and the event of its death."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Database, DeadLetter, RetryAfter, reading, transaction
from events.admin import replays
from events.system_events import DeliveryDead
from events.tables import LogEntry
from events.testing import Bus
from tests.events.sample import (
    POLICY,
    SECRET,
    Noted,
    delivery,
    failed_attempts,
    mark,
    marks,
    new_subscription,
    note,
    raising,
)


def deaths() -> list[dict[str, Any]]:
    """Return the data of each published death of a delivery, in order."""
    with reading() as session:
        return [
            dict(row.data)
            for row in session.scalars(
                select(LogEntry)
                .where(LogEntry.type == DeliveryDead.type)
                .order_by(LogEntry.position)
            )
        ]


def test_a_delivery_is_dead_after_the_attempts_of_its_policy(any_database: Database) -> None:
    with Bus(
        subscriptions=[new_subscription(raising(lambda: ValueError(SECRET)))], fail_fast=False
    ) as bus:
        note("a")
        bus.drain()
        assert (delivery().state, delivery().attempts) == ("retrying", 1)
        for _ in range(5):
            bus.advance(60)

    row = delivery()
    assert (row.state, row.attempts, row.sends, row.died_at is not None) == (
        "dead",
        POLICY.attempts,
        POLICY.attempts,
        True,
    )
    assert [each.number for each in failed_attempts()] == [1, 2, 3]
    assert [str(report).split(":")[0] for report in bus.reports] == ["retrying", "retrying", "dead"]


def test_a_retry_is_not_sent_before_it_is_due(any_database: Database) -> None:
    with Bus(
        subscriptions=[new_subscription(raising(lambda: RetryAfter(100)))], fail_fast=False
    ) as bus:
        note("a")
        bus.drain()
        bus.advance(99)
        assert delivery().attempts == 1
        bus.advance(2)

        assert delivery().attempts == 2
        assert delivery().error == "RetryAfter: asked to be retried in 100 s"


def test_a_delivery_whose_handler_raises_dead_letter_is_dead_at_once(
    any_database: Database,
) -> None:
    with Bus(
        subscriptions=[new_subscription(raising(lambda: DeadLetter("the address is on the moon")))],
        fail_fast=False,
    ) as bus:
        note("a")
        bus.drain()

    assert (delivery().state, delivery().error) == (
        "dead",
        "DeadLetter: the address is on the moon",
    )


def test_the_death_of_a_delivery_is_published_once(any_database: Database) -> None:
    with Bus(
        subscriptions=[new_subscription(raising(lambda: DeadLetter("no")))], fail_fast=False
    ) as bus:
        bus.duplicate_messages = True
        [event_id] = note("a")
        bus.drain()

    [death] = deaths()
    assert death == {
        "subscription": "notes.mark",
        "queue": "notes",
        "event_id": str(event_id),
        "event_type": "sample.noted",
        "attempts": 1,
        "fingerprint": delivery().fingerprint,
    }


def test_the_death_of_an_alert_is_not_published(any_database: Database) -> None:
    alert = new_subscription(
        raising(lambda: DeadLetter("the mailbox is full")), DeliveryDead, name="dead_letters.alert"
    )
    with Bus(
        subscriptions=[new_subscription(raising(lambda: DeadLetter("no"))), alert], fail_fast=False
    ) as bus:
        note("a")
        bus.drain()

    assert delivery("dead_letters.alert").state == "dead"
    assert len(deaths()) == 1


def test_a_second_death_after_a_replay_is_published_again(any_database: Database) -> None:
    with Bus(
        subscriptions=[new_subscription(raising(lambda: DeadLetter("no")))], fail_fast=False
    ) as bus:
        note("a")
        bus.drain()
        with transaction() as session:
            replays.start(session, who="ada", why="test", everything=True)
        bus.drain()

    assert len(deaths()) == 2


def test_success_after_failures_clears_the_error_and_keeps_the_attempts(
    any_database: Database,
) -> None:
    remaining = [1, 2]

    def flaky(event: Noted, session: Session) -> None:
        mark(event, session)
        if remaining:
            raise ValueError(f"{remaining.pop()} to go")

    with Bus(subscriptions=[new_subscription(flaky)], fail_fast=False) as bus:
        note("a")
        for _ in range(3):
            bus.advance(60)

    row = delivery()
    assert (row.state, row.error, row.fingerprint, row.attempts, marks()) == (
        "done",
        None,
        None,
        2,
        {"a": 1},
    )
    assert [each.message for each in failed_attempts()] == ["2 to go", "1 to go"]


def test_any_exception_of_a_handler_is_a_failed_attempt(
    any_database: Database,
) -> None:
    def divide(event: Noted, session: Session) -> float:
        return 1 / 0

    with Bus(subscriptions=[new_subscription(divide)], fail_fast=False) as bus:
        note("a")
        bus.drain()

    assert delivery().error == "ZeroDivisionError: division by zero"


def test_returning_something_other_than_an_event_is_a_failed_attempt(
    any_database: Database,
) -> None:
    with Bus(
        subscriptions=[new_subscription(lambda event, session: "done")], fail_fast=False
    ) as bus:
        note("a")
        bus.drain()

    assert (delivery().state, marks()) == ("retrying", {})
