"""The impact of dead letters: orders, money and waits, and the groups sorted by them."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import update

from events import clock, reading, transaction
from events.admin import dead_letters
from events.catalog import Money
from events.relay.round import do_round
from events.tables import Delivery, LogEntry
from events.testing import Bus
from tasks import impact
from tasks.impact import Impact, Ranking
from tasks.orders import Order
from tests.tasks.builders import placed

CHARGE, RESERVE, CONFIRM = (
    *("payment.charge_order", "inventory.reserve_stock"),
    "email.confirm_receipt",
)


def dead(subscription: str, *orders: Order, error: str = "ValueError: no") -> None:
    """Make the delivery of each order's first event to a subscription a dead letter."""
    numbers = [order.number for order in orders]
    with transaction() as session:
        do_round(session, Counter(), can_send=False)
        about = LogEntry.subject.in_(numbers)
        events = session.query(LogEntry.id).where(about, LogEntry.type == "order.created")
        found = (Delivery.subscription == subscription, Delivery.event_id.in_(events))
        values = {"state": "dead", "died_at": clock.now(), "error": error, "fingerprint": error}
        session.execute(update(Delivery).where(*found).values(values))


def ranked() -> Ranking:
    with reading() as session:
        return impact.ranked(session, dead_letters.groups(session))


def only() -> Impact:
    [(_, found)] = ranked().rows
    return found


def changed(order: Order, **values: str) -> None:
    with transaction() as session:
        session.execute(update(Order).where(Order.id == order.id).values(values))


def test_a_group_holds_up_orders_their_money_and_the_customer_who_waits_longest(
    any_bus: Bus,
) -> None:
    first = placed(MUG=1)
    any_bus.clock.advance(60)
    second = placed(TEE=1)
    dead(CHARGE, first, second)

    found = only()

    assert (found.orders, found.money) == (2, (Money(amount=3000, currency="EUR"),))
    assert (found.oldest, found.estimated) == (first.number, False)
    assert found.waiting_since
    assert timedelta(0) <= clock.now() - found.waiting_since - timedelta(seconds=60) < timedelta(1)


def test_groups_are_sorted_by_money_then_orders_then_wait(any_bus: Bus) -> None:
    cheap, dear = placed(MUG=1), placed(LAMP=1)
    dead(CHARGE, cheap, error="A")
    dead(RESERVE, dear, error="B")
    dead(CONFIRM, cheap, dear, error="C")

    assert [group.fingerprint for group, _ in ranked().rows] == ["B", "A", "C"]


def test_no_order_waits_for_a_mail_that_is_missing(any_bus: Bus) -> None:
    order = placed(MUG=1)
    dead(CONFIRM, order)

    assert (ranked().rows[0][1], ranked().total) == (Impact(), Impact())
    assert (only().orders_text, only().money_text, only().longest_wait) == ("0", "none", None)

    dead(CHARGE, order)
    assert [each.orders for _, each in ranked().rows] == [1, 0]
    assert ranked().total.orders == 1


@pytest.mark.parametrize(
    ("status", "payment", "waiting"),
    [
        ("placed", "waiting", 1),
        ("confirmed", "charged", 1),
        ("cancelled", "charged", 1),  # the refund is due
        ("cancelled", "refunded", 0),
        ("shipped", "charged", 0),
    ],
)
def test_an_order_that_has_ended_waits_for_nothing(
    bus: Bus, status: str, payment: str, waiting: int
) -> None:
    order = placed(MUG=1)
    dead(CHARGE, order)
    changed(order, status=status, payment=payment)

    assert (only().orders, len(only().money)) == (waiting, waiting)


def test_an_order_of_several_groups_is_counted_once_in_all(any_bus: Bus) -> None:
    order = placed(MUG=1)
    dead(CHARGE, order)
    dead(RESERVE, order)

    found = ranked()

    assert [each.orders for _, each in found.rows] == [1, 1]
    assert (found.total.orders, found.total.money) == (1, (Money(amount=1250, currency="EUR"),))


def test_sums_of_several_currencies_stay_apart(bus: Bus) -> None:
    orders = [placed(MUG=1), placed(MUG=1)]
    changed(orders[0], currency="JPY")
    dead(CHARGE, *orders)

    assert only().money_text == "€12.50 and JP¥1,250"
    assert only().weight == 1262.5


def test_of_a_large_group_a_part_is_looked_at_and_the_rest_estimated(
    any_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impact, "LOOKED_AT", 20)
    dead(CHARGE, *(placed(MUG=1) for _ in range(40)))

    found = only()

    assert (found.orders, found.estimated) == (40, True)
    assert (found.orders_text, found.money_text) == ("about 40", "about €500.00")
    assert ranked().total.orders_text == "about 40"


def test_a_group_about_no_order_has_no_impact(bus: Bus) -> None:
    dead(CHARGE, order := placed(MUG=1))
    with transaction() as session:
        session.execute(update(LogEntry).values(subject="other"))

    assert order.number not in str(only())
    assert only() == Impact()
