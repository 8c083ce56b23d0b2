"""Shipping and recalling parcels."""

import pytest
from sqlalchemy import select

from events import Database, DeadLetter, reading, transaction
from events.catalog import (
    OrderConfirmed,
    OrderEvent,
    OrderShipped,
    ShipmentOrphaned,
    ShipmentRecalled,
)
from events.testing import Bus
from tasks.gateways.ports import Parcel
from tasks.gateways.shipping import SandboxParcel
from tasks.shipping import (
    Shipment,
    cancel_shipment,
    dispatch_shipment,
    hand_over,
    prepare_shipment,
    recall,
    request_recall,
)
from tests.tasks.builders import (
    found,
    order_cancelled,
    order_created,
    placed,
    switched,
)


def order_confirmed(order_id: str = "o-1") -> OrderConfirmed:
    return OrderConfirmed(
        **order_created(order_id, MUG=2, TEE=1).model_dump(exclude={"payment_token"})
    )


def parcels() -> list[SandboxParcel]:
    with reading() as session:
        return [row for row in session.scalars(select(SandboxParcel)) if not row.closed]


def state(order_id: str = "o-1") -> str:
    with reading() as session:
        return session.get_one(Shipment, order_id).state


def dispatched(key: str = "k-1") -> OrderShipped | None:
    parcel = hand_over(order_confirmed(), key)
    with transaction() as session:
        return dispatch_shipment(order_confirmed(), session, parcel)  # type: ignore[no-any-return]


def run(step: object, event: OrderEvent) -> object:
    assert callable(step)
    with transaction() as session:
        return step(event, session)


def recalled(tracking: str, key: str = "k-9") -> object:
    event = ShipmentOrphaned(order_id="o-1", tracking=tracking)
    request_recall(event, key)
    with transaction() as session:
        return recall(event, session, None)


def test_a_confirmed_order_goes_to_the_carrier_in_one_parcel(bus: Bus) -> None:
    bus.duplicate_messages = True
    placed(MUG=2, TEE=1)
    bus.drain()

    [parcel] = parcels()
    [shipped] = [event for event in bus.published if isinstance(event, OrderShipped)]
    assert (parcel.tracking, parcel.country, parcel.pieces) == (shipped.tracking, "DE", 3)


def test_a_parcel_is_prepared_and_then_shipped(database: Database) -> None:
    run(prepare_shipment, order_created())
    assert state() == "prepared"
    assert isinstance(dispatched(), OrderShipped)
    assert state() == "shipped"


def test_a_parcel_that_is_gone_is_not_prepared_again(database: Database) -> None:
    dispatched()
    run(prepare_shipment, order_created())
    assert state() == "shipped"


def test_an_order_that_was_cancelled_first_is_not_shipped(database: Database) -> None:
    run(cancel_shipment, order_cancelled())
    run(prepare_shipment, order_created())

    assert dispatched() is None
    assert state() == "cancelled"
    assert parcels() == []


def test_a_parcel_whose_answer_was_lost_is_published_though_the_order_was_cancelled(
    database: Database,
) -> None:
    given = hand_over(order_confirmed(), "k-1")  # and then the worker died
    run(cancel_shipment, order_cancelled())

    outcome = dispatched("k-1")

    assert isinstance(given, Parcel)
    assert outcome == OrderShipped(order_id="o-1", carrier=given.carrier, tracking=given.tracking)
    assert len(parcels()) == 1


def test_a_parcel_that_crosses_with_the_cancellation_is_published_and_recalled(
    database: Database,
) -> None:
    parcel = hand_over(order_confirmed(), "k-1")  # the call is under way ...
    run(cancel_shipment, order_cancelled())  # ... when the cancellation is handled
    with transaction() as session:
        outcome = dispatch_shipment(order_confirmed(), session, parcel)

    assert isinstance(outcome, OrderShipped)
    assert recalled(outcome.tracking) == ShipmentRecalled(order_id="o-1", tracking=outcome.tracking)
    assert parcels()[0].recalled_at is not None


def test_cancelling_does_not_pretend_that_a_parcel_is_still_here(database: Database) -> None:
    dispatched()
    run(cancel_shipment, order_cancelled())
    assert state() == "shipped"


def test_a_parcel_is_recalled_once(database: Database) -> None:
    shipped = dispatched()
    assert shipped
    recalled(shipped.tracking)
    assert recalled(shipped.tracking, "k-10") is None


def test_an_order_of_old_without_an_address_is_a_dead_letter_that_says_so(
    database: Database,
) -> None:
    old = order_confirmed().model_copy(update={"shipping_address": None})
    with pytest.raises(DeadLetter, match="ORD-o-1 has no shipping address"):
        hand_over(old, "k-1")


def test_an_order_waits_for_a_carrier_that_is_down(bus: Bus) -> None:
    bus.fail_fast = False
    switched("shipping", down=True)
    order = placed()
    bus.drain()
    assert found(order).status == "confirmed"

    switched("shipping", down=False)
    bus.advance(15)
    assert found(order).status == "shipped"
