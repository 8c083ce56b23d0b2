"""The audit finds nothing after an honest run, and each thing that was planted to be found."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from events import clock, publish, reading, transaction
from events.catalog import OrderShipped
from events.tables import Delivery, LogEntry
from events.testing import Bus
from tasks.email import Mail
from tasks.gateways.payment import SandboxCharge
from tasks.gateways.shipping import SandboxParcel
from tasks.inventory import Movement, Stock
from tasks.orders import Order
from tests.tasks.builders import cancelled, placed
from tidings.chaos.audit import Accepted, audit
from tidings.chaos.open_counts import count_open


def _run(bus: Bus) -> list[Accepted]:
    """An order that is shipped, one that is declined, and one that its customer cancels."""
    orders = [placed(MUG=2, TEE=1), placed("tok_declined"), placed(MUG=1)]
    cancelled(orders[2])
    bus.drain()
    return [Accepted(order.id, order.email) for order in orders]


def _audited(accepted: list[Accepted]) -> list[str]:
    with reading() as session:
        return audit(
            session, [Accepted(each.id, "nobody@example.org", each.cancelled) for each in accepted]
        )


def _shipped(session: Session) -> Order:
    return session.scalars(select(Order).where(Order.status == "shipped")).one()


def test_nothing_is_found_after_an_honest_run(any_bus: Bus) -> None:
    any_bus.duplicate_messages = True

    accepted = _run(any_bus)

    assert _audited(accepted) == []
    with reading() as session:
        assert count_open(session).idle


def _second_charge(session: Session) -> None:
    first = session.scalars(
        select(SandboxCharge).where(SandboxCharge.charge_id.is_not(None))
    ).first()
    assert first is not None
    values = {
        "token": first.token,
        "amount": first.amount,
        "currency": first.currency,
        "attempts": 1,
        "at": clock.now(),
    }
    session.add(SandboxCharge(key=first.key + "-again", charge_id="ch_again", **values))


def _stranger_charge(session: Session) -> None:
    session.add(
        SandboxCharge(
            key="x:payment",
            token="tok_ok",
            amount=1,
            currency="EUR",
            attempts=1,
            charge_id="ch_x",
            at=clock.now(),
        )
    )


def _second_parcel(session: Session) -> None:
    first = session.scalars(select(SandboxParcel)).one()
    again = {"tracking": "TD1", "country": "DE", "pieces": 1, "at": clock.now()}
    session.add(SandboxParcel(key=first.key + "-again", **again))


def _second_shipment_told(session: Session) -> None:
    order = _shipped(session)
    publish(
        session,
        OrderShipped(order_id=order.id, carrier="Carrier", tracking="TD1"),
        subject=order.number,
    )


def _second_movement(session: Session) -> None:
    order = _shipped(session)
    session.add(
        Movement(sku="MUG", order_id=order.id, quantity=-2, reason="reserved", at=clock.now())
    )


def _stock_gone(session: Session) -> None:
    session.execute(update(Stock).where(Stock.sku == "TEE").values(available=1))


def _lost_delivery(session: Session) -> None:
    session.execute(
        update(Delivery)
        .where(Delivery.subscription == "email.announce_shipment")
        .values(state="pending", sends=1)
    )


def _dead_delivery(session: Session) -> None:
    session.execute(
        update(Delivery)
        .where(Delivery.subscription == "email.announce_shipment")
        .values(state="dead", error="Boom: no")
    )


def _missing_delivery(session: Session) -> None:
    session.execute(delete(Delivery).where(Delivery.subscription == "email.announce_shipment"))


def _event_left_lying(session: Session) -> None:
    session.execute(
        update(LogEntry).where(LogEntry.type == "order.shipped").values(relayed_at=None)
    )


def _unfinished_order(session: Session) -> None:
    _shipped(session).status = "confirmed"


def _missing_order(session: Session) -> None:
    session.delete(_shipped(session))


def _second_order(session: Session) -> None:
    first = _shipped(session)
    values = {column.key: getattr(first, column.key) for column in Order.__table__.columns}
    session.add(
        Order(
            **values
            | {"key": None, "id": str(uuid7()), "number": "ORD-2000", "status": "cancelled"}
        )
    )


def _mail_unsent(session: Session) -> None:
    session.execute(delete(Mail).where(Mail.kind == "shipped"))


PLANTED: dict[Callable[[Session], None], tuple[str, ...]] = {
    _second_charge: ("was charged 2 times at the gateway", "of its money instead of"),
    _stranger_charge: ("charge ch_x at the gateway belongs to no order",),
    _second_parcel: ("ORD-1001 is shipped and has 2 parcels instead of 1",),
    _second_shipment_told: (
        "order.shipped happened 2 times to ORD-1001",
        "the timeline of ORD-1001 lacks order.shipped",
    ),
    _second_movement: (
        "MUG was reserved 2 times for ORD-1001",
        "the stock of MUG is",
    ),
    _stock_gone: ("the stock of TEE is 1, but its movements add up to 9",),
    _lost_delivery: (
        "email.announce_shipment has not handled order.shipped of ORD-1001: pending after 1 sends",
    ),
    _dead_delivery: ("order.shipped of ORD-1001: dead after 1 sends: Boom: no",),
    _missing_delivery: ("email.announce_shipment has deliveries of 0 of 1 events",),
    _event_left_lying: ("1 events were never relayed",),
    _unfinished_order: ("ORD-1001 has not ended: confirmed",),
    _missing_order: ("was accepted but does not exist",),
    _mail_unsent: ("the mail `shipped` of ORD-1001 was never sent",),
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__.strip("_"))
def test_each_planted_breach_is_found(bus: Bus, plant: Callable[[Session], None]) -> None:
    accepted = _run(bus)
    with transaction() as session:
        plant(session)

    findings = "\n".join(_audited(accepted))

    assert [words for words in PLANTED[plant] if words not in findings] == [], findings


def test_an_order_that_one_key_placed_twice_is_found(bus: Bus) -> None:
    order = placed()
    bus.drain()
    with transaction() as session:
        _second_order(session)
        session.execute(update(Order).where(Order.id != order.id).values(email=order.email))

    with reading() as session:
        findings = audit(session, [Accepted(order.id, order.email)])

    assert "ORD-1001 was placed with one key but exists 2 times" in findings


def test_an_order_that_its_customer_could_cancel_and_that_was_shipped_all_the_same_is_found(
    bus: Bus,
) -> None:
    order = placed()
    bus.drain()

    assert _audited([Accepted(order.id, order.email, cancelled=True)]) == [
        "ORD-1001 was cancelled by its customer but is shipped"
    ]


def test_what_is_still_under_way_is_not_settled(bus: Bus) -> None:
    placed()

    with reading() as session:
        assert count_open(session).events == 1
    bus.drain()
    with reading() as session:
        assert count_open(session).idle
