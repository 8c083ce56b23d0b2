import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from events import Database, publish, reading, transaction
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
from events.testing import Bus
from tasks import checkout
from tasks.inventory import shelf
from tasks.orders import Order, UnknownOrder
from tests.tasks.builders import cancelled, found, lines, order_created, placed, stocked, switched


def reserved(order: Order) -> InventoryReserved:
    return InventoryReserved(order_id=order.id, lines=order.lines)


def charged(order: Order) -> PaymentCharged:
    return PaymentCharged(order_id=order.id, charge_id="ch_1", total=order.total)


def heard(step: object, event: OrderEvent) -> object:
    assert callable(step)
    with transaction() as session:
        return step(event, session)


@pytest.fixture
def order(database: Database) -> Order:
    """A placed order of two mugs, of which no service has heard yet."""
    with transaction() as session:
        stocked(session)
    return placed(MUG=2)


def test_an_order_is_confirmed_when_both_answers_are_in(order: Order) -> None:
    assert heard(checkout.stock_reserved, reserved(order)) is None
    outcome = heard(checkout.payment_charged, charged(order))

    assert isinstance(outcome, OrderConfirmed)
    assert (outcome.number, outcome.lines, outcome.total) == (
        order.number,
        order.lines,
        order.total,
    )
    assert found(order).status == "confirmed"


def test_the_answers_may_come_in_the_other_order(order: Order) -> None:
    assert heard(checkout.payment_charged, charged(order)) is None
    assert isinstance(heard(checkout.stock_reserved, reserved(order)), OrderConfirmed)


def test_two_answers_at_once_confirm_the_order_once(any_database: Database) -> None:
    with transaction() as session:
        stocked(session)
    made = [placed() for _ in range(10)]

    def answer(step: int) -> object:
        order = made[step // 2]
        return (
            heard(checkout.payment_charged, charged(order))
            if step % 2
            else heard(checkout.stock_reserved, reserved(order))
        )

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(answer, range(20)))

    assert [type(outcome) for outcome in outcomes if outcome] == [OrderConfirmed] * 10
    assert {found(order).status for order in made} == {"confirmed"}


def test_missing_stock_cancels_the_order_and_names_the_product(order: Order) -> None:
    outcome = heard(checkout.stock_failed, InventoryReservationFailed(order_id=order.id, sku="MUG"))

    assert isinstance(outcome, OrderCancelled)
    assert outcome.reason == "Blue mug is out of stock"
    assert (found(order).status, found(order).stock, found(order).reason) == (
        "cancelled",
        "failed",
        "Blue mug is out of stock",
    )


def test_a_declined_card_cancels_the_order_and_says_why(order: Order) -> None:
    outcome = heard(
        checkout.payment_failed, PaymentFailed(order_id=order.id, reason="the card was declined")
    )

    assert isinstance(outcome, OrderCancelled)
    assert outcome.reason == "payment failed: the card was declined"
    assert (found(order).status, found(order).payment) == ("cancelled", "failed")


def test_two_bad_answers_cancel_the_order_once(order: Order) -> None:
    assert heard(checkout.payment_failed, PaymentFailed(order_id=order.id, reason="declined"))
    assert (
        heard(checkout.stock_failed, InventoryReservationFailed(order_id=order.id, sku="MUG"))
        is None
    )
    assert found(order).reason == "payment failed: declined"


def test_money_that_comes_in_for_a_cancelled_order_is_given_back(order: Order) -> None:
    cancelled(order)
    assert heard(checkout.payment_charged, charged(order)) == PaymentOrphaned(
        order_id=order.id, charge_id="ch_1"
    )


def test_a_refund_that_is_heard_before_its_charge_is_the_end_of_it(order: Order) -> None:
    cancelled(order)
    heard(
        checkout.payment_refunded,
        PaymentRefunded(order_id=order.id, charge_id="ch_1", total=order.total),
    )

    assert heard(checkout.payment_charged, charged(order)) is None
    assert found(order).payment == "refunded"


def test_stock_that_is_set_aside_for_a_cancelled_order_confirms_nothing(order: Order) -> None:
    heard(checkout.payment_charged, charged(order))
    cancelled(order)

    assert heard(checkout.stock_reserved, reserved(order)) is None
    assert found(order).status == "cancelled"


def test_a_release_that_is_heard_before_its_reservation_is_the_end_of_it(order: Order) -> None:
    cancelled(order)
    heard(checkout.stock_released, InventoryReleased(order_id=order.id, lines=order.lines))
    heard(checkout.stock_reserved, reserved(order))

    assert found(order).stock == "released"


def test_a_parcel_that_left_ends_the_order(order: Order) -> None:
    heard(checkout.stock_reserved, reserved(order))
    heard(checkout.payment_charged, charged(order))

    assert (
        heard(checkout.order_shipped, OrderShipped(order_id=order.id, carrier="C", tracking="T1"))
        is None
    )
    assert (found(order).status, found(order).shipment) == ("shipped", "shipped")


def test_a_parcel_of_a_cancelled_order_is_called_back(order: Order) -> None:
    cancelled(order)

    outcome = heard(
        checkout.order_shipped, OrderShipped(order_id=order.id, carrier="C", tracking="T1")
    )

    assert outcome == ShipmentOrphaned(order_id=order.id, tracking="T1")
    heard(checkout.shipment_recalled, ShipmentRecalled(order_id=order.id, tracking="T1"))
    assert (found(order).status, found(order).shipment) == ("cancelled", "cancelled")


def test_an_answer_about_an_order_that_nobody_knows_is_an_error(any_database: Database) -> None:
    with pytest.raises(UnknownOrder):
        heard(checkout.stock_reserved, InventoryReserved(order_id="o-9", lines=lines(MUG=1)))


def kinds(bus: Bus) -> list[str]:
    return [event.type for event in bus.published]


def test_an_order_goes_all_the_way(any_bus: Bus) -> None:
    order = placed(MUG=2, TEE=1)
    any_bus.drain()

    assert found(order).status == "shipped"
    assert sorted(kinds(any_bus)) == sorted(
        [
            "order.created",
            "inventory.reserved",
            "payment.charged",
            "order.confirmed",
            "order.shipped",
        ]
    )
    assert {delivery.state for delivery in any_bus.deliveries()} == {"done"}


def test_an_order_without_stock_ends_cancelled_with_the_money_back(any_bus: Bus) -> None:
    order = placed(LAMP=2)
    any_bus.drain()

    after = found(order)
    assert (after.status, after.stock, after.payment, after.reason) == (
        "cancelled",
        "failed",
        "refunded",
        "Brass desk lamp is out of stock",
    )


def test_a_declined_order_ends_cancelled_with_the_stock_back(any_bus: Bus) -> None:
    order = placed("tok_declined", MUG=2)
    any_bus.drain()

    after = found(order)
    assert (after.status, after.stock, after.payment) == ("cancelled", "released", "failed")
    with reading() as session:
        assert shelf(session)["MUG"] == 10


def test_an_order_that_came_by_another_door_goes_all_the_way(any_bus: Bus) -> None:
    any_bus.publish(order_created(MUG=1), subject="ORD-o-1")
    any_bus.drain()
    any_bus.advance(
        120
    )  # an answer may be heard before the order has its row, and then comes again

    assert kinds(any_bus)[-1] == "order.shipped"


def test_an_order_waits_while_payment_is_broken_and_goes_on_when_it_is_mended(bus: Bus) -> None:
    bus.fail_fast = False
    switched("payment", down=True)
    order = placed()
    bus.drain()
    bus.advance(20)
    assert (found(order).status, found(order).stock) == ("placed", "reserved")

    switched("payment", down=False)
    bus.advance(20)
    assert found(order).status == "shipped"


@pytest.mark.parametrize("seed", range(3))
def test_deliveries_twice_and_in_any_order_change_nothing(any_bus: Bus, seed: int) -> None:
    any_bus.duplicate_messages, any_bus.shuffle = True, random.Random(seed)
    good, declined, too_many = placed(MUG=2), placed("tok_declined", TEE=1), placed(LAMP=3)
    any_bus.drain()
    any_bus.advance(60)

    assert [found(order).status for order in (good, declined, too_many)] == [
        "shipped",
        "cancelled",
        "cancelled",
    ]
    with reading() as session:
        assert shelf(session) == {"MUG": 8, "TEE": 10, "LAMP": 1}


def test_cancelling_after_the_parcel_left_but_before_orders_heard_of_it_brings_everything_back(
    bus: Bus,
) -> None:
    order = placed(MUG=2)
    bus.drain()
    with transaction() as session:  # back to the moment before OrderShipped was heard
        session.merge(found(order)).status = "confirmed"
    cancelled(order)
    bus.drain()
    with transaction() as session:
        publish(
            session,
            OrderShipped(order_id=order.id, carrier="C", tracking=_tracking(bus)),
            subject=order.number,
        )
    bus.drain()

    after = found(order)
    assert (after.status, after.stock, after.payment, after.shipment) == (
        "cancelled",
        "released",
        "refunded",
        "cancelled",
    )


def _tracking(bus: Bus) -> str:
    [shipped] = [event for event in bus.published if isinstance(event, OrderShipped)]
    return shipped.tracking
