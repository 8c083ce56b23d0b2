"""A breaker holds the deliveries of an unavailable dependency back and spends no attempt."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from events import Database, NotNow, RetryAfter, breakers, transaction
from events.breakers import (
    CALLS,
    FAILURES,
    FIRST_PROBE_DELAY,
    WINDOW,
    State,
)
from events.subscriptions import Subscription
from events.testing import Bus
from tests.events.breakers.outage import POLICY, SERVICE, GatewayDown, breaker, dependent, outage
from tests.events.sample import Noted, deliveries, delivery, failed_attempts, marks, note


def test_it_opens_after_a_few_deliveries_to_which_it_was_unavailable(bus: Bus):
    SERVICE.error = lambda: GatewayDown("down")
    note(*map(str, range(FAILURES - 1)))
    bus.drain()
    assert breaker().state == State.CLOSED

    note("last")
    bus.drain()

    assert breaker().state == State.OPEN
    assert breaker().error == "GatewayDown: down"
    assert {row.dependency for row in deliveries("notes.ask")} == {"service"}


@pytest.mark.parametrize("error", [ConnectionRefusedError, TimeoutError, GatewayDown])
def test_what_says_unavailable_opens_it(bus: Bus, error: type[Exception]):
    SERVICE.error = error
    note(*map(str, range(FAILURES)))
    bus.drain()

    assert breaker().state == State.OPEN


@pytest.mark.parametrize("error", [ValueError, NotNow, lambda: RetryAfter(1)])
def test_what_is_about_one_request_does_not(bus: Bus, error: Callable[[], Exception]):
    SERVICE.error = error
    note(*map(str, range(3 * FAILURES)))
    bus.drain()

    assert breaker().state == State.CLOSED
    assert {row.dependency for row in deliveries("notes.ask")} == {None}


def test_one_delivery_that_fails_again_and_again_does_not_open_it(bus: Bus):
    SERVICE.error = lambda: GatewayDown("down")
    note("alone")
    for _ in range(20):
        bus.advance(WINDOW.total_seconds() / 5)

    assert breaker().state == State.CLOSED


def test_a_few_failures_among_many_answers_do_not_open_it(bus: Bus):
    for number in range(6 * FAILURES):
        SERVICE.error = (lambda: GatewayDown("down")) if number % 6 == 5 else None
        note(str(number))
        bus.drain()

    assert breaker().state == State.CLOSED


def test_failures_of_an_earlier_window_do_not_count(bus: Bus):
    SERVICE.error = lambda: GatewayDown("down")
    note(*map(str, range(FAILURES - 1)))
    bus.drain()
    SERVICE.error = None
    bus.advance(WINDOW.total_seconds())
    SERVICE.error = lambda: GatewayDown("down")
    note("later")
    bus.drain()

    assert breaker().state == State.CLOSED


def test_an_outage_after_long_success_opens_it_all_the_same(bus: Bus):
    note(*map(str, range(5 * CALLS)))
    bus.drain()
    outage(bus, CALLS)

    assert len(failed_attempts()) < CALLS


def test_while_it_is_open_deliveries_wait_and_spend_no_attempt(bus: Bus):
    outage(bus)
    attempts = len(failed_attempts())
    calls = len(SERVICE.calls)
    note(*map(str, range(100)))
    for _ in range(60):
        bus.advance(1)

    assert len(failed_attempts()) == attempts == FAILURES
    assert 1 <= len(SERVICE.calls) - calls <= 4  # probes
    assert {row.state for row in deliveries("notes.ask")} == {"pending", "retrying"}


def test_what_was_in_flight_when_it_opened_waits_too(bus: Bus):
    SERVICE.error = lambda: GatewayDown("down")
    note(*map(str, range(100)))
    bus.drain()

    assert len(failed_attempts()) == FAILURES
    assert len(SERVICE.calls) <= 20  # one batch


def test_while_it_is_on_hold_nothing_is_sent_and_nobody_probes(bus: Bus):
    with transaction() as session:
        breakers.hold(session, breakers.lock(session, "service"), who="ada", why="maintenance")
    note("a", "b")
    for _ in range(20):
        bus.advance(60)
    assert SERVICE.calls == []

    with transaction() as session:
        breakers.close(session, breakers.lock(session, "service"), who="ada", why="over")
    bus.drain()
    assert marks() == {"a": 1, "b": 1}


def test_other_subscriptions_go_on(any_database: Database):
    free = Subscription("free.mark", "free", (Noted,), lambda e, s: None, None, POLICY, 10)
    second = dependent("others.ask")
    with Bus(subscriptions=[dependent(), second, free], fail_fast=False) as bus:
        SERVICE.error = lambda: GatewayDown("down")
        note(*map(str, range(20)))
        bus.drain()

        assert {row.state for row in deliveries("free.mark")} == {"done"}
        assert len(failed_attempts()) == FAILURES
        assert breaker().state == State.OPEN


def test_a_handler_without_a_call_that_depends_on_something_has_a_breaker_too(
    any_database: Database,
):
    def ask(event: Noted, session: Session) -> None:
        SERVICE(event, "")

    asking = Subscription(
        "notes.ask", "notes", (Noted,), ask, None, POLICY, 10, depends_on="service"
    )
    with Bus(subscriptions=[asking], fail_fast=False) as bus:
        outage(bus)
        SERVICE.error = None
        bus.advance(FIRST_PROBE_DELAY + 1)
        bus.advance(10)

        assert breaker().state == State.CLOSED
        assert {row.state for row in deliveries("notes.ask")} == {"done"}


@pytest.mark.slow
def test_ten_minutes_of_outage_make_no_dead_letter_and_burn_no_attempt(bus: Bus):
    # The worst case: an error of unknown outcome, of which three would be a dead letter.
    SERVICE.error = ConnectionRefusedError
    number = 0
    for _ in range(600):
        note(*(f"n-{number + each}" for each in range(20)))
        number += 20
        bus.advance(1)
    assert len(failed_attempts()) == FAILURES
    assert len(SERVICE.calls) < 60

    SERVICE.error = None
    for _ in range(3):
        bus.advance(60)

    rows = deliveries("notes.ask")
    assert len(rows) == number
    assert {row.state for row in rows} == {"done"}
    assert sum(row.attempts for row in rows) == FAILURES


def test_a_dead_letter_names_the_dependency_that_was_its_cause(bus: Bus):
    SERVICE.error = ConnectionRefusedError
    note("alone")
    for _ in range(20):
        bus.advance(2)
    assert (delivery("notes.ask").state, delivery("notes.ask").dependency) == ("dead", "service")
