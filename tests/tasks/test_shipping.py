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
from tasks.gateways.ports import GatewayDown, GatewayError, Parcel
from tasks.gateways.shipping import SandboxCarrier, SandboxParcel
from tasks.shipping import (
    Shipment,
    call_back,
    cancel_shipment,
    dispatch_shipment,
    hand_over,
    prepare_shipment,
    recall,
)
from tests.tasks.builders import (
    BERLIN,
    found,
    lines,
    order_cancelled,
    order_created,
    placed,
    switched,
)


def order_confirmed(id: str = "o-1") -> OrderConfirmed:
    return OrderConfirmed(**order_created(id, MUG=2, TEE=1).model_dump(exclude={"payment_token"}))


def parcels() -> list[SandboxParcel]:
    with reading() as session:
        return [row for row in session.scalars(select(SandboxParcel)) if not row.closed]


def state(id: str = "o-1") -> str:
    with reading() as session:
        return session.get_one(Shipment, id).state


def dispatched(key: str = "k-1") -> OrderShipped | None:
    parcel = hand_over(order_confirmed(), key)
    with transaction() as session:
        return dispatch_shipment(order_confirmed(), session, parcel)  # type: ignore[no-any-return]


def heard(step: object, event: OrderEvent) -> object:
    assert callable(step)
    with transaction() as session:
        return step(event, session)


def recalled(tracking: str, key: str = "k-9") -> object:
    event = ShipmentOrphaned(order_id="o-1", tracking=tracking)
    call_back(event, key)
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
    heard(prepare_shipment, order_created())
    assert state() == "prepared"
    assert isinstance(dispatched(), OrderShipped)
    assert state() == "shipped"


def test_a_parcel_that_is_gone_is_not_prepared_again(database: Database) -> None:
    dispatched()
    heard(prepare_shipment, order_created())
    assert state() == "shipped"


def test_an_order_that_was_cancelled_first_is_not_shipped(database: Database) -> None:
    heard(cancel_shipment, order_cancelled())
    heard(prepare_shipment, order_created())

    assert dispatched() is None
    assert state() == "cancelled"
    assert parcels() == []


def test_a_parcel_whose_answer_was_lost_is_told_though_the_order_was_cancelled_before_the_retry(
    database: Database,
) -> None:
    given = hand_over(order_confirmed(), "k-1")  # and then the worker died
    heard(cancel_shipment, order_cancelled())

    outcome = dispatched("k-1")

    assert isinstance(given, Parcel)
    assert outcome == OrderShipped(order_id="o-1", carrier=given.carrier, tracking=given.tracking)
    assert len(parcels()) == 1


def test_a_parcel_that_crosses_with_the_cancellation_is_told_and_called_back(
    database: Database,
) -> None:
    parcel = hand_over(order_confirmed(), "k-1")  # the call is under way ...
    heard(cancel_shipment, order_cancelled())  # ... when the cancellation is handled
    with transaction() as session:
        outcome = dispatch_shipment(order_confirmed(), session, parcel)

    assert isinstance(outcome, OrderShipped)
    assert recalled(outcome.tracking) == ShipmentRecalled(order_id="o-1", tracking=outcome.tracking)
    assert parcels()[0].recalled_at is not None


def test_cancelling_does_not_pretend_that_a_parcel_is_still_here(database: Database) -> None:
    dispatched()
    heard(cancel_shipment, order_cancelled())
    assert state() == "shipped"


def test_a_parcel_is_called_back_once(database: Database) -> None:
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


class TestSandbox:
    """The carrier by itself."""

    def test_the_same_key_is_the_same_parcel(self, any_database: Database) -> None:
        first, again, other = (
            SandboxCarrier().hand_over(key, address=BERLIN, lines=lines(MUG=1))
            for key in ("k-1", "k-1", "k-2")
        )
        assert first == again != other

    def test_a_key_that_is_closed_tells_of_its_parcel_or_takes_none_any_more(
        self, any_database: Database
    ) -> None:
        assert SandboxCarrier().hand_over(
            "k-1", address=BERLIN, lines=lines(MUG=1)
        ) == SandboxCarrier().close("k-1")
        assert SandboxCarrier().close("k-2") is None
        with pytest.raises(GatewayError, match="this key was closed"):
            SandboxCarrier().hand_over("k-2", address=BERLIN, lines=lines(MUG=1))

    def test_an_unknown_parcel_cannot_be_called_back(self, database: Database) -> None:
        with pytest.raises(GatewayError, match="knows no parcel T9"):
            SandboxCarrier().call_back("k-1", tracking="T9")

    def test_while_it_is_down_it_takes_nothing(self, database: Database) -> None:
        switched("shipping", down=True)
        for call in (
            lambda: SandboxCarrier().hand_over("k-1", address=BERLIN, lines=lines(MUG=1)),
            lambda: SandboxCarrier().close("k-1"),
            lambda: SandboxCarrier().call_back("k-1", tracking="T1"),
        ):
            with pytest.raises(GatewayDown, match="shipping sandbox is down"):
                call()
        assert parcels() == []
