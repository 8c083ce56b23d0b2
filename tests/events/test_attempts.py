"""Attempts: the row of each failed attempt, its message and its fingerprint."""

from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Database, DeadLetter, reading
from events.dispatch import dispatch
from events.system_events import DeliveryDead
from events.tables import Attempt
from events.testing import Bus
from tests.events.sample import (
    SECRET,
    Noted,
    deliveries,
    delivery,
    failed_attempts,
    new_subscription,
    note,
    raising,
    send,
)


class Mute(Exception):
    """An error whose message cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def deaths(bus: Bus) -> list[DeliveryDead]:
    """Return the published deaths of deliveries, in order."""
    return [event for event in bus.published if isinstance(event, DeliveryDead)]


def test_the_fingerprint_names_the_line_and_holds_no_personal_data(any_database: Database) -> None:
    with Bus(
        subscriptions=[new_subscription(raising(lambda: DeadLetter(SECRET)))], fail_fast=False
    ) as bus:
        note(SECRET, "b")
        bus.drain()

    one, other = deliveries()
    assert one.fingerprint == other.fingerprint
    assert (one.fingerprint or "").startswith("DeadLetter events/sample.py:")
    assert (one.fingerprint or "").endswith(" handler")
    assert SECRET not in str(bus.reports) + str([death.model_dump() for death in deaths(bus)])


@pytest.mark.parametrize(
    ("error", "stored"),
    [
        (lambda: ValueError("NUL \x00 in it"), "ValueError: NUL \\x00 in it"),
        (lambda: ValueError("half a character \ud83d"), "ValueError: half a character \\ud83d"),
        (lambda: ValueError(""), "ValueError: "),
        (Mute, "Mute: Mute has no readable message"),
        (lambda: type("E" * 300, (Exception,), {})("long name"), f"{'E' * 300}: long name"),
    ],
)
def test_an_error_is_stored_whatever_its_message(
    error: Callable[[], Exception], stored: str, any_database: Database
) -> None:
    with Bus(subscriptions=[new_subscription(raising(error))], fail_fast=False) as bus:
        note("a")
        for _ in range(4):
            bus.advance(60)

    assert (delivery().state, delivery().attempts, len(failed_attempts())) == ("dead", 3, 3)
    assert delivery().error == stored


def test_an_error_that_cannot_be_formatted_has_its_lines_and_its_message(
    any_database: Database,
) -> None:
    def handler(event: Noted, session: Session) -> None:
        if event.text == "a":
            raise SyntaxError("bad", ("f", "x", 1, 3))  # type: ignore[arg-type]

    with Bus(subscriptions=[new_subscription(handler, batch=5)], fail_fast=False) as bus:
        note("a", "b")
        bus.drain()

    [row] = failed_attempts()
    assert [each.state for each in deliveries()] == ["retrying", "done"]
    assert "in handler\n    raise SyntaxError" in row.traceback
    assert row.traceback.endswith("SyntaxError: bad (f)\n")


def test_a_very_long_message_is_truncated(any_database: Database) -> None:
    with Bus(
        subscriptions=[new_subscription(raising(lambda: DeadLetter("x" * 5_000_000)))],
        fail_fast=False,
    ) as bus:
        note("a")
        bus.drain()

    [row] = failed_attempts()
    assert (len(row.message), len(row.traceback) <= 100_000, len(delivery().error or "")) == (
        10_000,
        True,
        10_012,
    )


def test_an_attempt_records_worker_duration_error_and_traceback(any_database: Database) -> None:
    subscription = new_subscription(raising(lambda: ValueError("cannot handle a")))
    note("a")
    [message] = send(subscription)
    dispatch(subscription, message.event_ids, worker="payment@host")

    [row] = failed_attempts()
    assert (row.number, row.send, row.worker, row.error_type, row.message) == (
        1,
        1,
        "payment@host",
        "ValueError",
        "cannot handle a",
    )
    assert row.took >= 0
    assert "in handler" in row.traceback
    assert row.traceback.endswith("ValueError: cannot handle a\n")
    with reading() as session:
        assert session.scalars(select(Attempt.event_id)).all() == list(message.event_ids)
