"""The steps of the process manager, one by one."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from events import Database, transaction
from events.catalog import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderShipped,
    PaymentCharged,
    PaymentFailed,
    PaymentOrphaned,
    PaymentRefunded,
    ShipmentOrphaned,
    ShipmentRecalled,
)
from tasks import checkout
from tasks.errors import UnknownOrder
from tasks.orders import Order
from tests.tasks.builders import cancelled, found, lines, placed, stocked


def reserved(order: Order) -> InventoryReserved:
    return InventoryReserved(order_id=order.id, lines=order.lines)


def charged(order: Order) -> PaymentCharged:
    return PaymentCharged(order_id=order.id, charge_id="ch_1", total=order.total)


def run(step: object, event: OrderEvent) -> object:
    assert callable(step)
    with transaction() as session:
        return step(event, session)


@pytest.fixture
def order(database: Database) -> Order:
    """Place an order of two mugs that no service has handled yet."""
    with transaction() as session:
        stocked(session)
    return placed(MUG=2)


def test_an_order_is_confirmed_when_both_answers_are_in(order: Order) -> None:
    assert run(checkout.stock_reserved, reserved(order)) is None
    outcome = run(checkout.payment_charged, charged(order))

    assert isinstance(outcome, OrderConfirmed)
    assert (outcome.number, outcome.lines, outcome.total) == (
        order.number,
        order.lines,
        order.total,
    )
    assert found(order).status == "confirmed"


def test_the_answers_may_come_in_the_other_order(order: Order) -> None:
    assert run(checkout.payment_charged, charged(order)) is None
    assert isinstance(run(checkout.stock_reserved, reserved(order)), OrderConfirmed)


def test_two_answers_at_once_confirm_the_order_once(any_database: Database) -> None:
    with transaction() as session:
        stocked(session)
    made = [placed() for _ in range(10)]

    def answer(step: int) -> object:
        order = made[step // 2]
        return (
            run(checkout.payment_charged, charged(order))
            if step % 2
            else run(checkout.stock_reserved, reserved(order))
        )

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(answer, range(20)))

    assert [type(outcome) for outcome in outcomes if outcome] == [OrderConfirmed] * 10
    assert {found(order).status for order in made} == {"confirmed"}


def test_missing_stock_cancels_the_order_and_names_the_product(order: Order) -> None:
    outcome = run(checkout.stock_failed, InventoryReservationFailed(order_id=order.id, sku="MUG"))

    assert isinstance(outcome, OrderCancelled)
    assert outcome.reason == "Blue mug is out of stock"
    assert (found(order).status, found(order).stock, found(order).reason) == (
        "cancelled",
        "failed",
        "Blue mug is out of stock",
    )


def test_a_declined_card_cancels_the_order_and_says_why(order: Order) -> None:
    outcome = run(
        checkout.payment_failed, PaymentFailed(order_id=order.id, reason="the card was declined")
    )

    assert isinstance(outcome, OrderCancelled)
    assert outcome.reason == "payment failed: the card was declined"
    assert (found(order).status, found(order).payment) == ("cancelled", "failed")


def test_two_bad_answers_cancel_the_order_once(order: Order) -> None:
    assert run(checkout.payment_failed, PaymentFailed(order_id=order.id, reason="declined"))
    assert (
        run(checkout.stock_failed, InventoryReservationFailed(order_id=order.id, sku="MUG")) is None
    )
    assert found(order).reason == "payment failed: declined"


def test_a_charge_of_a_cancelled_order_is_refunded(order: Order) -> None:
    cancelled(order)
    assert run(checkout.payment_charged, charged(order)) == PaymentOrphaned(
        order_id=order.id, charge_id="ch_1"
    )


def test_a_refund_that_is_handled_before_its_charge_is_the_end_of_it(order: Order) -> None:
    cancelled(order)
    run(
        checkout.payment_refunded,
        PaymentRefunded(order_id=order.id, charge_id="ch_1", total=order.total),
    )

    assert run(checkout.payment_charged, charged(order)) is None
    assert found(order).payment == "refunded"


def test_stock_that_is_reserved_for_a_cancelled_order_confirms_nothing(order: Order) -> None:
    run(checkout.payment_charged, charged(order))
    cancelled(order)

    assert run(checkout.stock_reserved, reserved(order)) is None
    assert found(order).status == "cancelled"


def test_a_release_that_is_handled_before_its_reservation_is_the_end_of_it(order: Order) -> None:
    cancelled(order)
    run(checkout.stock_released, InventoryReleased(order_id=order.id, lines=order.lines))
    run(checkout.stock_reserved, reserved(order))

    assert found(order).stock == "released"


def test_a_parcel_that_left_ends_the_order(order: Order) -> None:
    run(checkout.stock_reserved, reserved(order))
    run(checkout.payment_charged, charged(order))

    assert (
        run(checkout.order_shipped, OrderShipped(order_id=order.id, carrier="C", tracking="T1"))
        is None
    )
    assert (found(order).status, found(order).shipment) == ("shipped", "shipped")


def test_a_parcel_of_a_cancelled_order_is_recalled(order: Order) -> None:
    cancelled(order)

    outcome = run(
        checkout.order_shipped, OrderShipped(order_id=order.id, carrier="C", tracking="T1")
    )

    assert outcome == ShipmentOrphaned(order_id=order.id, tracking="T1")
    run(checkout.shipment_recalled, ShipmentRecalled(order_id=order.id, tracking="T1"))
    assert (found(order).status, found(order).shipment) == ("cancelled", "cancelled")


def test_an_answer_about_an_unknown_order_is_an_error(any_database: Database) -> None:
    with pytest.raises(UnknownOrder):
        run(checkout.stock_reserved, InventoryReserved(order_id="o-9", lines=lines(MUG=1)))
