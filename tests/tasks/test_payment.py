"""Charges and refunds."""

from sqlalchemy import select

from events import Database, reading, transaction
from events.catalog import (
    Money,
    OrderCreated,
    OrderEvent,
    PaymentCharged,
    PaymentFailed,
    PaymentOrphaned,
    PaymentRefunded,
)
from events.testing import Bus
from tasks.gateways.payment import SandboxCharge, SandboxRefund
from tasks.payment import charge, charge_order, refund, request_refund
from tests.tasks.builders import cancelled, found, order_cancelled, order_created, placed, switched


def charges() -> list[SandboxCharge]:
    with reading() as session:
        return [row for row in session.scalars(select(SandboxCharge)) if row.charge_id]


def refunds() -> list[SandboxRefund]:
    with reading() as session:
        return list(session.scalars(select(SandboxRefund)))


def events_of(bus: Bus, kind: type) -> list[object]:
    return [event for event in bus.published if isinstance(event, kind)]


def attempts(bus: Bus, subscription: str) -> tuple[str, int]:
    [row] = [row for row in bus.deliveries() if row.subscription == subscription]
    return row.state, row.attempts


def charged(event: OrderCreated, key: str = "k-1") -> object:
    answer = charge(event, key)
    with transaction() as session:
        return charge_order(event, session, answer)


def refunded(event: OrderEvent, key: str = "k-2") -> object:
    refund_id = request_refund(event, key)
    with transaction() as session:
        return refund(event, session, refund_id)


def test_a_good_card_is_charged_once(bus: Bus) -> None:
    bus.duplicate_messages = True
    placed(MUG=2)
    bus.drain()

    [row] = charges()
    assert (row.amount, row.currency, row.attempts) == (2500, "EUR", 1)
    assert events_of(bus, PaymentCharged) == [
        PaymentCharged(
            order_id=_id(bus), charge_id=row.charge_id, total=Money(amount=2500, currency="EUR")
        )
    ]


def _id(bus: Bus) -> str:
    return str(bus.published[0].model_dump()["order_id"])


def test_a_declined_card_is_a_business_no_and_not_tried_again(bus: Bus) -> None:
    placed("tok_declined")
    bus.drain()

    assert attempts(bus, "payment.charge_order") == ("done", 0)
    assert events_of(bus, PaymentFailed) == [
        PaymentFailed(order_id=_id(bus), reason="the card was declined")
    ]
    assert charges() == []


def test_an_unknown_card_is_declined(bus: Bus) -> None:
    order = placed("tok_stolen")
    bus.drain()
    assert found(order).reason == "payment failed: the card is unknown"


def test_a_flaky_card_is_charged_after_two_retries(bus: Bus) -> None:
    bus.fail_fast = False
    order = placed("tok_flaky")
    bus.drain()
    assert attempts(bus, "payment.charge_order") == ("retrying", 1)

    bus.advance(10)
    bus.advance(10)

    assert attempts(bus, "payment.charge_order") == ("done", 2)
    assert found(order).status == "shipped"
    assert len(charges()) == 1


def test_a_charge_whose_answer_was_lost_is_found_again_by_its_key(bus: Bus) -> None:
    bus.fail_fast = False
    order = placed("tok_lost_answer")
    bus.drain()
    assert attempts(bus, "payment.charge_order") == ("retrying", 1)
    assert len(charges()) == 1

    bus.advance(10)

    assert found(order).status == "shipped"
    assert len(charges()) == 1
    assert attempts(bus, "payment.charge_order") == ("done", 1)


def test_a_broken_card_ends_as_a_dead_letter_within_half_a_minute_or_so(bus: Bus) -> None:
    bus.fail_fast = False
    order = placed("tok_broken")
    bus.drain()
    for _ in range(45):
        bus.advance(1)

    assert attempts(bus, "payment.charge_order") == ("dead", 8)
    assert found(order).status == "placed"
    assert charges() == []


def test_a_gateway_that_is_down_is_waited_for_longer_than_a_broken_card(bus: Bus) -> None:
    bus.fail_fast = False
    switched("payment", down=True)
    order = placed()
    bus.drain()
    for _ in range(30):
        bus.advance(1)
    assert attempts(bus, "payment.charge_order")[0] == "retrying"

    switched("payment", down=False)
    bus.advance(15)
    assert found(order).status == "shipped"


def test_a_card_is_not_charged_for_an_order_that_was_cancelled_first(database: Database) -> None:
    assert refunded(order_cancelled()) is None
    assert charged(order_created()) is None
    assert charges() == []


def test_a_charge_is_refunded_when_the_order_is_cancelled(database: Database) -> None:
    outcome = charged(order_created())
    assert isinstance(outcome, PaymentCharged)

    assert refunded(order_cancelled()) == PaymentRefunded(
        order_id="o-1", charge_id=outcome.charge_id, total=outcome.total
    )
    assert [row.charge_id for row in refunds()] == [outcome.charge_id]


def test_a_charge_is_refunded_once(database: Database) -> None:
    outcome = charged(order_created())
    assert isinstance(outcome, PaymentCharged)
    refunded(order_cancelled())

    assert refunded(PaymentOrphaned(order_id="o-1", charge_id=outcome.charge_id), "k-3") is None
    assert len(refunds()) == 1


def test_two_refunds_of_a_charge_at_once_are_published_once(database: Database) -> None:
    outcome = charged(order_created())
    assert isinstance(outcome, PaymentCharged)
    orphaned = PaymentOrphaned(order_id="o-1", charge_id=outcome.charge_id)
    first, second = request_refund(order_cancelled(), "k-2"), request_refund(orphaned, "k-3")
    assert first == second

    with transaction() as session:
        assert isinstance(refund(order_cancelled(), session, first), PaymentRefunded)
    with transaction() as session:
        assert refund(orphaned, session, second) is None
    assert len(refunds()) == 1


def test_a_charge_that_crosses_with_the_cancellation_is_published_so_that_it_is_refunded(
    database: Database,
) -> None:
    answer = charge(order_created(), "k-1")  # the call is under way ...
    assert refunded(order_cancelled()) is None  # ... when the cancellation is handled
    with transaction() as session:
        outcome = charge_order(order_created(), session, answer)

    assert isinstance(outcome, PaymentCharged)
    assert isinstance(
        refunded(PaymentOrphaned(order_id="o-1", charge_id=outcome.charge_id)), PaymentRefunded
    )
    assert len(charges()) == len(refunds()) == 1


def test_a_charge_between_request_and_record_of_a_refund_is_refunded_as_orphaned(
    database: Database,
) -> None:
    refund_id = request_refund(order_cancelled(), "k-2")  # nothing is charged yet ...
    outcome = charged(order_created())  # ... now it is
    with transaction() as session:
        assert refund(order_cancelled(), session, refund_id) is None

    assert isinstance(outcome, PaymentCharged)
    assert isinstance(
        refunded(PaymentOrphaned(order_id="o-1", charge_id=outcome.charge_id)), PaymentRefunded
    )


def test_a_charge_with_a_lost_answer_is_refunded_though_the_order_was_cancelled_before_the_retry(
    bus: Bus,
) -> None:
    bus.fail_fast = False
    order = placed("tok_lost_answer")
    bus.drain()
    assert len(charges()) == 1

    cancelled(order)
    bus.drain()
    bus.advance(10)

    assert len(charges()) == len(refunds()) == 1
    assert (found(order).status, found(order).payment) == ("cancelled", "refunded")


def test_nothing_is_refunded_for_a_declined_card(database: Database) -> None:
    assert isinstance(charged(order_created(token="tok_declined")), PaymentFailed)
    assert refunded(order_cancelled()) is None
    assert refunds() == []


def test_a_refund_waits_for_a_gateway_that_is_down(bus: Bus) -> None:
    bus.fail_fast = False
    order = placed(LAMP=5)  # more than there are
    switched("payment", down=True)
    bus.drain()
    switched("payment", down=False)
    bus.advance(15)
    bus.advance(15)
    assert (found(order).status, len(charges()), len(refunds())) == (
        "cancelled",
        len(refunds()),
        len(charges()),
    )
