"""Orders from placing to their end, with every service."""

import random

import pytest

from events import publish, reading, transaction
from events.catalog import OrderShipped
from events.testing import Bus
from tasks.inventory import stock_levels
from tests.tasks.builders import cancelled, found, order_created, placed, switched


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
        assert stock_levels(session)["MUG"] == 10


def test_an_order_that_was_not_placed_here_goes_all_the_way(any_bus: Bus) -> None:
    any_bus.publish(order_created(MUG=1), subject="ORD-o-1")
    any_bus.drain()
    any_bus.advance(120)  # an answer that is handled before the order has its row is retried

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
        assert stock_levels(session) == {"MUG": 8, "TEE": 10, "LAMP": 1}


def test_cancelling_after_the_parcel_left_but_before_orders_handled_it_brings_everything_back(
    bus: Bus,
) -> None:
    order = placed(MUG=2)
    bus.drain()
    with transaction() as session:  # back to the moment before OrderShipped was handled
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
