"""Stuck orders: what each open order waits for, and whether a person has to act."""

import pytest

from events import heartbeat, reading, transaction
from events.admin import breakers, dead_letters, subscriptions
from events.testing import Bus
from tasks import stuck_orders
from tests.tasks.builders import cancelled, placed, stocked
from tests.tasks.conftest import queues


def alive(*, without: str = "", trouble: str | None = None) -> None:
    heartbeat.beat("relay@box", "relay", trouble=trouble)
    heartbeat.beat("worker@box", "worker", [each for each in queues() if each != without])


def waits() -> dict[str, tuple[str, bool]]:
    """Return what each stuck order waits for first, and whether a person has to act."""
    with reading() as session:
        found = stuck_orders.listed(session, limit=50)
    return {each.order.number: (each.waits[0].waits_for, each.person) for each in found.orders}


@pytest.fixture(autouse=True)
def _stocked(any_bus: Bus) -> None:
    any_bus.fail_fast = False
    with transaction() as session:
        stocked(session, MUG=100)
    alive()


def test_each_cause_is_told_with_who_can_mend_it(any_bus: Bus) -> None:
    number = placed("tok_ok", MUG=1).number
    assert waits() == {}  # it has just been placed
    heartbeat.leave("relay@box")
    assert waits() == {number: ("a relay: none is alive", True)}
    alive(trouble="connection refused")
    assert waits() == {number: ("the broker: connection refused", True)}
    alive()
    with transaction() as session:
        subscriptions.pause(session, "payment.charge_order", who="ada", why="bank <holiday>")
    any_bus.drain()
    paused = "its subscription, which is paused by ada: bank <holiday>"
    assert waits() == {number: (paused, True)}
    with transaction() as session:
        subscriptions.resume(session, "payment.charge_order", who="ada", why="over")
        breakers.hold(session, "payment", who="ada", why="test")
    assert waits() == {number: ("payment, whose breaker is on hold", True)}
    with transaction() as session:
        breakers.close(session, "payment", who="ada", why="over")
    alive(without="payment")
    assert waits() == {number: ("a worker: queue payment has none", True)}
    alive()
    assert waits() == {}
    any_bus.clock.advance(61)
    alive()
    assert waits() == {number: ("its turn in queue payment", False)}
    any_bus.drain()
    assert waits() == {}


def test_a_dead_letter_and_a_discarded_step_need_a_person_at_once(any_bus: Bus) -> None:
    order = placed("tok_broken", MUG=1)
    any_bus.drain()
    for _ in range(12):
        any_bus.advance(600)
    alive()
    [(dead, person)] = waits().values()
    dead_letters.discard(who="ada", why="test", everything=True)
    [(discarded, _)] = waits().values()
    cancelled(order)

    assert dead == "a person: it is a dead letter, GatewayError: payment sandbox: 500 for this card"
    assert person
    assert discarded == "nothing: it was discarded, so the next step never comes"
    assert waits() == {}


def test_a_retry_is_no_cause_for_a_minute_and_then_tells_its_time(any_bus: Bus) -> None:
    placed("tok_broken", MUG=1)
    any_bus.drain()
    alive()
    assert waits() == {}
    for _ in range(3):
        any_bus.advance(61)
    alive()
    [(text, person)] = waits().values()

    assert text.startswith("attempt ") or text == "its turn in queue payment"
    assert not person


def test_only_the_oldest_are_looked_at_and_that_is_said(any_bus: Bus) -> None:
    for _ in range(3):
        placed("tok_ok", MUG=1)
    heartbeat.leave("relay@box")
    with reading() as session:
        found = stuck_orders.listed(session, limit=2)

    assert [each.order.number for each in found.orders] == ["ORD-1001", "ORD-1002"]
    assert found.more
    assert found.text == "At least 2 orders are stuck"
