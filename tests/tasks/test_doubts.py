"""Doubts: what the gateways did and the log does not know, and what is no doubt."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from events import clock, reading, transaction
from events.tables import Attempt, Delivery, LogEntry
from events.testing import Bus
from tasks import doubts, gateways, restores
from tasks.doubts import Doubt
from tasks.email import Mail
from tasks.gateways import GatewayDown
from tasks.gateways.payment import SandboxCharge
from tasks.gateways.shipping import SandboxParcel
from tasks.inventory import Movement, Reservation
from tasks.orders import Order
from tasks.payment import Charge
from tasks.shipping import Shipment
from tasks.timeline import TimelineEntry
from tests.tasks.builders import cancelled, found, placed, switched

TABLES = (Attempt, Delivery, LogEntry, TimelineEntry, Mail, Shipment, Charge, Order)


def forget_everything() -> None:
    """Make the log one that ends before its first order; the gateways remember."""
    with transaction() as session:
        for table in TABLES:
            session.execute(delete(table))


def restored() -> None:
    with transaction() as session:
        restores.record(session, last_key=restores.last_key_given(session), who="me", why="test")


def listed() -> Sequence[Doubt]:
    with reading() as session:
        return doubts.listed(session)


def told(found: Sequence[Doubt]) -> list[tuple[str, str, str | None]]:
    return [(each.gateway, each.reason, each.number) for each in found]


def test_nothing_is_in_doubt_in_a_shop_that_was_never_restored(any_bus: Bus) -> None:
    any_bus.fail_fast = False
    for token in ("tok_ok", "tok_declined", "tok_lost_answer", "tok_broken"):
        placed(token)
    cancelled(placed())
    any_bus.drain()

    assert listed() == []
    restored()
    assert listed() == []


def test_a_charge_and_a_parcel_of_an_unknown_order_are_in_doubt(any_bus: Bus) -> None:
    placed(MUG=2)
    any_bus.drain()
    forget_everything()

    unknown = "the log does not know its order"
    expected = [("payment", unknown, None), ("shipping", unknown, None)]
    assert told(listed()) == expected  # nobody said that it was restored
    restored()
    charge, parcel = listed()
    assert told([charge, parcel]) == expected
    assert charge.act.startswith("charge ch_")
    assert charge.act.endswith(" of €25.00")
    assert parcel.act.startswith("parcel TD")


def test_after_a_settlement_only_newer_acts_are_in_doubt(bus: Bus) -> None:
    placed()
    bus.drain()
    forget_everything()
    restored()
    with transaction() as session:
        assert len(restores.settle(session, who="me", why="refunded")) == 1

    assert listed() == []
    placed()
    bus.drain()
    forget_everything()
    assert len(listed()) == 2


def test_an_order_that_was_cancelled_after_the_backup_is_in_doubt(bus: Bus) -> None:
    order = placed()
    switched("shipping", down=True)
    bus.fail_fast = False
    bus.drain()
    cancelled(order)
    bus.drain()
    with transaction() as session:  # as the backup has it
        session.execute(update(Order).values(status="confirmed", payment="charged"))
        session.execute(update(Charge).values(state="charged"))
    switched("shipping", down=False)
    restored_since_yesterday()

    [doubt] = listed()

    assert doubt.reason == f"it is refunded there, and {order.number} is confirmed here"
    assert (doubt.number, doubt.fix) == (order.number, "cancel the order")


def test_a_parcel_of_an_order_that_is_cancelled_here_is_in_doubt(bus: Bus) -> None:
    order = placed()
    bus.drain()
    with transaction() as session:  # the backup was made before the parcel
        session.execute(update(Order).values(status="cancelled"))
        session.execute(update(Shipment).values(state="cancelled", tracking=None))
    restored_since_yesterday()

    assert [
        ("shipping", f"it is on its way, and {order.number} is cancelled here", order.number)
    ] == [each for each in told(listed()) if each[0] == "shipping"]


def test_a_parcel_that_was_recalled_there_is_in_doubt(bus: Bus) -> None:
    order = placed()
    bus.drain()
    with reading() as session:
        tracking = session.query(SandboxParcel.tracking).scalar()
    gateways.carrier().recall("k", tracking=str(tracking))
    restored_since_yesterday()

    assert told(listed()) == [
        ("shipping", f"it is recalled there, and {order.number} is shipped here", order.number)
    ]


def restored_since_yesterday() -> None:
    restored()
    with transaction() as session:
        session.execute(update(restores.Restore).values(log_end=clock.now() - timedelta(days=1)))


def test_acts_before_the_end_of_the_log_are_not_compared(bus: Bus) -> None:
    placed()
    bus.drain()
    with transaction() as session:
        long_ago = clock.now() - timedelta(days=9)
        session.execute(update(SandboxCharge).values(at=long_ago))
        session.execute(update(SandboxParcel).values(at=long_ago))
    forget_everything()

    assert listed() == []


def test_a_charge_whose_delivery_runs_again_is_found_by_its_key(bus: Bus) -> None:
    order = placed()
    bus.drain()
    with reading() as session:
        before = session.query(SandboxCharge.charge_id, SandboxCharge.key).all()
    with transaction() as session:  # as the backup has it: nothing was handled yet
        for table in (
            Attempt,
            Delivery,
            TimelineEntry,
            Mail,
            Shipment,
            Charge,
            Reservation,
            Movement,
        ):
            session.execute(delete(table))
        session.execute(delete(LogEntry).where(LogEntry.type != "order.created"))
        session.execute(update(LogEntry).values(relayed_at=None))
        session.execute(
            update(Order).values(
                status="placed", stock="waiting", payment="waiting", shipment="waiting"
            )
        )
    bus.drain()

    assert found(order).status == "shipped"
    with reading() as session:
        assert session.query(SandboxCharge.charge_id, SandboxCharge.key).all() == before
        assert session.query(SandboxParcel).count() == 1


def test_a_gateway_that_is_down_is_said_to_be(bus: Bus) -> None:
    switched("payment", down=True)

    with pytest.raises(GatewayDown):
        listed()
