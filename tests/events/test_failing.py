"""What a failed try leads to: a retry, a dead letter, and the words for it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Database, DeadLetter, RetryAfter, reading, transaction
from events.admin import dead_letters
from events.system_events import DeliveryDead
from events.tables import LogEntry
from events.testing import Bus
from tests.events.sample import (
    PATIENT,
    SECRET,
    Noted,
    deliveries,
    delivery,
    hearing,
    mark,
    marks,
    note,
    tries,
)


class Mute(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def raising(error: Callable[[], Exception]) -> Callable[[Any, Session], None]:
    def handler(event: Any, session: Session) -> None:
        raise error()

    return handler


def deaths() -> list[dict[str, Any]]:
    """What was told of deaths, in order."""
    with reading() as session:
        return [
            dict(row.data)
            for row in session.scalars(
                select(LogEntry)
                .where(LogEntry.type == DeliveryDead.type)
                .order_by(LogEntry.position)
            )
        ]


def test_a_delivery_is_tried_so_often_and_is_then_dead(any_database: Database) -> None:
    with Bus(subscriptions=[hearing(raising(lambda: ValueError(SECRET)))], fail_fast=False) as bus:
        note("a")
        bus.drain()
        assert (delivery().state, delivery().attempts) == ("retrying", 1)
        for _ in range(5):
            bus.advance(60)

    row = delivery()
    assert (row.state, row.attempts, row.sends, row.died_at is not None) == (
        "dead",
        PATIENT.attempts,
        PATIENT.attempts,
        True,
    )
    assert [each.number for each in tries()] == [1, 2, 3]
    assert [str(report).split(":")[0] for report in bus.reports] == ["retrying", "retrying", "dead"]


def test_a_retry_waits_for_its_time(any_database: Database) -> None:
    with Bus(subscriptions=[hearing(raising(lambda: RetryAfter(100)))], fail_fast=False) as bus:
        note("a")
        bus.drain()
        bus.advance(99)
        assert delivery().attempts == 1
        bus.advance(2)

        assert delivery().attempts == 2
        assert delivery().error == "RetryAfter: asked to be tried again in 100 s"


def test_a_dead_letter_is_dead_at_once(any_database: Database) -> None:
    with Bus(
        subscriptions=[hearing(raising(lambda: DeadLetter("the address is on the moon")))],
        fail_fast=False,
    ) as bus:
        note("a")
        bus.drain()

    assert (delivery().state, delivery().error) == (
        "dead",
        "DeadLetter: the address is on the moon",
    )


def test_the_fingerprint_names_the_place_and_holds_no_personal_data(any_database: Database) -> None:
    with Bus(subscriptions=[hearing(raising(lambda: DeadLetter(SECRET)))], fail_fast=False) as bus:
        note(SECRET, "b")
        bus.drain()

    one, other = deliveries()
    assert one.fingerprint == other.fingerprint
    assert (one.fingerprint or "").startswith("DeadLetter events/test_failing.py:")
    assert (one.fingerprint or "").endswith(" handler")
    assert SECRET not in str(bus.reports) + str(deaths())


def test_a_death_is_told_once(any_database: Database) -> None:
    with Bus(subscriptions=[hearing(raising(lambda: DeadLetter("no")))], fail_fast=False) as bus:
        bus.duplicate = True
        [id] = note("a")
        bus.drain()

    [told] = deaths()
    assert told == {
        "subscription": "notes.mark",
        "queue": "notes",
        "event_id": str(id),
        "event_type": "sample.noted",
        "attempts": 1,
        "fingerprint": delivery().fingerprint,
    }


def test_the_death_of_the_alert_itself_is_not_told(any_database: Database) -> None:
    alert = hearing(
        raising(lambda: DeadLetter("nobody is home")), DeliveryDead, name="dead_letters.alert"
    )
    with Bus(
        subscriptions=[hearing(raising(lambda: DeadLetter("no"))), alert], fail_fast=False
    ) as bus:
        note("a")
        bus.drain()

    assert delivery("dead_letters.alert").state == "dead"
    assert len(deaths()) == 1


def test_a_second_death_after_a_replay_is_told_again(any_database: Database) -> None:
    with Bus(subscriptions=[hearing(raising(lambda: DeadLetter("no")))], fail_fast=False) as bus:
        note("a")
        bus.drain()
        with transaction() as session:
            dead_letters.replay(session, who="ada", everything=True)
        bus.drain()

    assert len(deaths()) == 2


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (lambda: ValueError("NUL \x00 in it"), "ValueError: NUL \\x00 in it"),
        (lambda: ValueError("half a character \ud83d"), "ValueError: half a character \\ud83d"),
        (lambda: ValueError(""), "ValueError: "),
        (Mute, "Mute: it could not say what it is"),
        (lambda: type("E" * 300, (Exception,), {})("long name"), f"{'E' * 300}: long name"),
    ],
)
def test_an_error_is_kept_whatever_it_says(
    error: Callable[[], Exception], kept: str, any_database: Database
) -> None:
    with Bus(subscriptions=[hearing(raising(error))], fail_fast=False) as bus:
        note("a")
        for _ in range(4):
            bus.advance(60)

    assert (delivery().state, delivery().attempts, len(tries())) == ("dead", 3, 3)
    assert delivery().error == kept


def test_an_endless_message_is_cut(any_database: Database) -> None:
    with Bus(
        subscriptions=[hearing(raising(lambda: DeadLetter("x" * 5_000_000)))], fail_fast=False
    ) as bus:
        note("a")
        bus.drain()

    [row] = tries()
    assert (len(row.message), len(row.traceback) <= 100_000, len(delivery().error or "")) == (
        10_000,
        True,
        10_012,
    )


def test_success_after_failures_forgets_the_error_and_keeps_the_tries(
    any_database: Database,
) -> None:
    left = [1, 2]

    def flaky(event: Noted, session: Session) -> None:
        mark(event, session)
        if left:
            raise ValueError(f"{left.pop()} to go")

    with Bus(subscriptions=[hearing(flaky)], fail_fast=False) as bus:
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
    assert [each.message for each in tries()] == ["2 to go", "1 to go"]


def test_an_error_that_is_no_exception_of_ours_or_pythons_still_counts(
    any_database: Database,
) -> None:
    def divide(event: Noted, session: Session) -> float:
        return 1 / 0

    with Bus(subscriptions=[hearing(divide)], fail_fast=False) as bus:
        note("a")
        bus.drain()

    assert delivery().error == "ZeroDivisionError: division by zero"


def test_a_handler_that_returns_no_event_is_a_failure_with_a_reason(any_database: Database) -> None:
    with Bus(subscriptions=[hearing(lambda event, session: "done")], fail_fast=False) as bus:
        note("a")
        bus.drain()

    assert (delivery().state, marks()) == ("retrying", {})
