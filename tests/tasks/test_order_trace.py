"""The trace of an order: its critical path, its compensations, and what held it up."""

import pytest
from sqlalchemy import delete

from events import clock, heartbeat, reading, transaction
from events.admin import dead_letters
from events.tables import Delivery, LogEntry
from events.testing import Bus
from tasks import order_axis, order_trace, orders
from tasks.order_trace_rows import DeliveryRow, OrderTrace
from tasks.orders import Order
from tests.tasks.builders import cancelled, found, placed, stocked, switched


@pytest.fixture(autouse=True)
def _stocked(bus: Bus) -> None:
    bus.fail_fast = False
    with transaction() as session:
        stocked(session, MUG=100)
    heartbeat.beat("relay@box", "relay")


def traced(order: Order) -> OrderTrace:
    with reading() as session:
        row = orders.find(session, order.id)
        return order_trace.of(session, row, now=clock.now())


def deliveries(trace: OrderTrace) -> dict[str, DeliveryRow]:
    return {each.subscription: each for event in trace.events for each in event.deliveries}


def chain(trace: OrderTrace) -> list[str]:
    """Return what the critical path leads through, each once."""
    return list(dict.fromkeys(part.what for part in trace.critical_path))


def test_a_payment_that_is_retried_is_the_critical_path_and_its_wait_is_cut_short(bus: Bus):
    order = placed("tok_flaky", MUG=1)
    bus.drain()
    for _ in range(3):
        bus.advance(600)
    trace = traced(order)
    line = order_axis.of(trace)

    assert found(order).status == "shipped"
    assert chain(trace) == [
        "payment.charge_order",
        "orders.payment_charged",
        "shipping.dispatch_shipment",
        "orders.order_shipped",
    ]
    assert sum(part.took for part in trace.critical_path) == pytest.approx(trace.took)
    assert "in payment.charge_order" in trace.summary
    assert [each.seconds > 500 for each in line.cuts] == [True] * len(line.cuts) != []
    assert "cut short" in order_axis.cuts_text(line)
    assert trace.left_out == {"timeline.tell": 5}
    assert (trace.final, trace.waits) == (True, [])
    assert deliveries(trace)["payment.charge_order"].attempts == 3


def test_a_cancellation_is_undone_step_by_step_and_the_outage_before_it_is_named(bus: Bus):
    switched("shipping", down=True)
    held_up = [placed("tok_ok", MUG=1) for _ in range(6)]
    bus.drain()
    order = held_up[-1]
    for _ in range(30):
        bus.advance(60)
    open_trace = traced(order)
    cancelled(order)
    bus.drain()
    switched("shipping", down=False)
    for _ in range(3):
        bus.advance(120)
    trace = traced(order)
    undone = {name: row.undoes for name, row in deliveries(trace).items() if row.compensates}

    assert open_trace.waits[0].waits_for == "carrier, whose breaker is open"
    assert not open_trace.final
    waits = [each.text for each in trace.critical_path if each.what == "shipping.dispatch_shipment"]
    assert "waiting: the breaker of carrier was open" in waits
    assert undone == {
        "inventory.release_stock": "inventory.reserved",
        "payment.refund": "payment.charged",
        "shipping.cancel_shipment": None,
    }
    assert trace.summary.startswith("Cancelled after ")
    assert trace.critical_path[0].what in ("payment.charge_order", "inventory.reserve_stock")
    assert [event.request for event in trace.events if event.request] == ["by a guest"] * 2
    assert sum(part.took for part in trace.critical_path) == pytest.approx(trace.took)


def test_a_dead_letter_that_was_given_up_is_not_the_end_of_a_cancelled_order(bus: Bus):
    order = placed("tok_broken", MUG=1)
    for _ in range(12):
        bus.advance(600)
    waiting = traced(order)
    cancelled(order)
    bus.drain()
    bus.advance(5000)
    dead_letters.discard(who="ada", why="cancelled", queue="payment")
    trace = traced(order)

    assert waiting.critical_path[-1].kind == "dead"
    assert waiting.summary.startswith("Not done after ")
    assert (trace.final, trace.waits) == (True, [])
    assert trace.took < waiting.took + 600
    assert chain(trace)[-1] == "orders.stock_released"


def test_an_order_that_the_relay_has_not_taken_waits_for_it(bus: Bus):
    order = placed("tok_ok", MUG=1)
    bus.clock.advance(10)
    trace = traced(order)

    assert [(part.what, part.text) for part in trace.critical_path] == [
        ("order.created", "until the relay takes it")
    ]
    assert trace.took >= 10
    assert trace.waits[0].waits_for == "the relay, which has not taken it yet"


def test_a_trace_whose_deliveries_or_events_are_pruned_shows_what_is_left(bus: Bus):
    order = placed("tok_ok", MUG=1)
    bus.drain()
    with transaction() as session:
        session.execute(delete(Delivery))
    without_deliveries = traced(order)
    with transaction() as session:
        session.execute(delete(LogEntry))
    trace = traced(order)

    assert {part.text for part in without_deliveries.critical_path} == {"no delivery is kept"}
    assert sum(part.took for part in without_deliveries.critical_path) == pytest.approx(
        without_deliveries.took
    )
    assert (trace.events, trace.critical_path, trace.took) == ([], [], 0.0)
    assert trace.summary == "The log has no event of this order"
