"""A reservation that is not paid in time expires; payment and expiry never both decide."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select

from events import Database, clock, reading, scheduled, transaction
from events.catalog import (
    OrderCancelled,
    OrderConfirmed,
    PaymentCharged,
    PaymentFailed,
    PaymentOrphaned,
    ReservationExpired,
)
from events.testing import Bus
from tasks import checkout, reservation_deadline
from tasks.gateways.payment import SandboxCharge
from tasks.inventory import Movement, stock_levels
from tasks.orders import Order
from tasks.settings import settings
from tests.tasks.builders import cancelled, found, placed, stocked, switched
from tests.tasks.mailserver import MailServer
from tests.tasks.test_checkout import charged, reserved, run

MINUTES = 30
REASON = "it was not paid within 30 min"


@pytest.fixture(autouse=True)
def _half_an_hour(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RESERVATION_MINUTES", str(MINUTES))
    settings.cache_clear()
    yield
    settings.cache_clear()


def unpaid(bus: Bus, **quantities: int) -> Order:
    """Place an order while the payment provider is down, and have its stock reserved."""
    bus.fail_fast = False
    switched("payment", down=True)
    order = placed(**quantities)
    bus.drain()
    return order


def waiting() -> list[str]:
    with reading() as session:
        return [row.key for row in scheduled.listed(session)]


def mugs() -> int:
    with reading() as session:
        return stock_levels(session)["MUG"]


def test_an_order_that_is_not_paid_in_time_is_cancelled_and_its_stock_comes_back(
    any_bus: Bus, mail_server: MailServer
) -> None:
    any_bus.duplicate_messages = True
    order = unpaid(any_bus, MUG=2)
    assert mugs() == 8

    any_bus.advance(MINUTES * 60 - 1)
    assert found(order).status == "placed"
    any_bus.advance(2)

    after = found(order)
    assert (after.status, after.stock, after.reason) == ("cancelled", "released", REASON)
    assert mugs() == 10
    with reading() as session:
        moved = session.scalars(select(Movement.quantity).where(Movement.order_id == order.id))
        assert sorted(moved) == [-2, 2]
    [mail] = [each for each in mail_server.mails if "cancelled" in each["Subject"]]
    assert mail["To"] == "Ada Example <ada@example.org>"
    assert REASON in mail.get_content()
    assert waiting() == []


def test_a_payment_that_comes_back_after_the_expiry_takes_no_money(bus: Bus) -> None:
    order = unpaid(bus, MUG=2)
    bus.advance(MINUTES * 60 + 1)

    switched("payment", down=False)
    bus.advance(24 * 3600)

    assert found(order).status == "cancelled"
    with reading() as session:
        assert not session.scalars(
            select(SandboxCharge).where(SandboxCharge.charge_id.is_not(None))
        ).all()
    assert mugs() == 10


def test_a_payment_in_time_ends_the_deadline(any_bus: Bus) -> None:
    order = unpaid(any_bus, MUG=2)
    assert waiting() == [f"reservation:{order.id}"]
    switched("payment", down=False)
    any_bus.advance(MINUTES * 60 - 1)

    assert found(order).status == "shipped"
    assert waiting() == []
    any_bus.advance(MINUTES * 60)
    assert ReservationExpired not in {type(event) for event in any_bus.published}


def test_an_order_that_was_paid_first_or_has_no_stock_gets_no_deadline(bus: Bus) -> None:
    paid_first = placed(MUG=1)
    run(checkout.payment_charged, charged(paid_first))
    run(checkout.stock_reserved, reserved(paid_first))
    cancelled_first = cancelled(placed(MUG=1))
    run(checkout.stock_reserved, reserved(cancelled_first))

    assert waiting() == []


@pytest.mark.parametrize("cause", ["a customer", "a declined card"])
def test_a_cancelled_order_has_no_deadline_any_more(bus: Bus, cause: str) -> None:
    order = unpaid(bus, MUG=1)
    assert len(waiting()) == 1

    if cause == "a customer":
        cancelled(order)
    else:
        run(checkout.payment_failed, PaymentFailed(order_id=order.id, reason="declined"))

    assert waiting() == []


def test_an_expiry_that_fired_before_the_payment_was_recorded_finds_the_order_paid(
    bus: Bus,
) -> None:
    order = unpaid(bus, MUG=1)
    bus.clock.advance(MINUTES * 60 + 1)
    with transaction() as session:
        assert scheduled.release_due(session) == 1

    run(checkout.payment_charged, charged(order))
    bus.drain()

    assert found(order).status in ("confirmed", "shipped")
    assert mugs() == 9


def test_a_relay_that_dies_while_it_fires_an_expiry_fires_it_later_and_once(any_bus: Bus) -> None:
    order = unpaid(any_bus, MUG=1)
    any_bus.clock.advance(MINUTES * 60 + 1)

    def die_before_the_commit() -> None:
        with transaction() as session:
            assert scheduled.release_due(session) == 1
            raise SystemExit

    with pytest.raises(SystemExit):
        die_before_the_commit()
    assert waiting() == [f"reservation:{order.id}"]
    any_bus.drain()

    assert [type(event) for event in any_bus.published].count(ReservationExpired) == 1
    assert found(order).status == "cancelled"


def test_of_a_payment_and_an_expiry_at_the_same_moment_one_decides(any_database: Database) -> None:
    """Real transactions of two threads: each order is either confirmed or cancelled, never both."""
    with transaction() as session:
        stocked(session)
    decided = set()
    with ThreadPoolExecutor(2) as pool:
        for _ in range(15):
            order = placed()
            run(checkout.stock_reserved, reserved(order))
            start = Barrier(2)

            def pay(order: Order = order, start: Barrier = start) -> object:
                start.wait()
                return run(checkout.payment_charged, charged(order))

            def expire(order: Order = order, start: Barrier = start) -> object:
                expired = ReservationExpired(order_id=order.id, minutes=MINUTES)
                start.wait()
                return run(checkout.reservation_expired, expired)

            paid, expired = pool.submit(pay), pool.submit(expire)
            outcome = (type(paid.result()), type(expired.result()))
            assert outcome in {
                (OrderConfirmed, type(None)),
                (PaymentOrphaned, OrderCancelled),
            }
            assert found(order).status == (
                "confirmed" if outcome[0] is OrderConfirmed else "cancelled"
            )
            decided.add(outcome)
    assert decided
    assert waiting() == []


def test_of_a_payment_and_the_relay_that_fires_the_expiry_neither_blocks_the_other(
    any_database: Database,
) -> None:
    """The payment cancels the scheduled event that the relay is about to publish."""
    with transaction() as session:
        stocked(session)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(15):
            order = placed()
            run(checkout.stock_reserved, reserved(order))
            with transaction() as session:
                assert scheduled.reschedule(session, f"reservation:{order.id}", clock.now())
            start = Barrier(2)

            def pay(order: Order = order, start: Barrier = start) -> object:
                start.wait()
                return run(checkout.payment_charged, charged(order))

            def fire(start: Barrier = start) -> int:
                start.wait()
                with transaction() as session:
                    return scheduled.release_due(session)

            paid, fired = pool.submit(pay), pool.submit(fire)
            assert isinstance(paid.result(), OrderConfirmed)
            fired.result()
            assert waiting() == []


def test_the_time_left_is_known_while_the_order_waits_for_its_payment(bus: Bus) -> None:
    order = unpaid(bus, MUG=1)
    with reading() as session:
        until = reservation_deadline.of(session, order.id)
    assert until is not None
    assert 0 < (until - clock.now()).total_seconds() <= MINUTES * 60

    cancelled(order)
    with reading() as session:
        assert reservation_deadline.of(session, order.id) is None


def test_a_charge_that_is_reported_again_changes_nothing(bus: Bus) -> None:
    order = unpaid(bus, MUG=1)
    charge: PaymentCharged = charged(order)
    assert isinstance(run(checkout.payment_charged, charge), OrderConfirmed)
    assert run(checkout.payment_charged, charge) is None
    run(checkout.reservation_expired, ReservationExpired(order_id=order.id, minutes=MINUTES))
    assert found(order).status == "confirmed"
