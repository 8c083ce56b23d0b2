"""Cancelling, confirming, finding and listing orders."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from events import Database, log, reading, transaction
from events.admin import audit, dead_letters
from events.admin.audit import Filters, Role
from events.catalog import OrderCreated
from events.testing import Bus
from tasks import checkout, orders, placing
from tasks.errors import NotCancellable, UnknownOrder
from tests.tasks.builders import (
    cancelled,
    found,
    lines,
    order_created,
    place_order,
    placed,
    stocked,
)
from tests.tasks.mailserver import MailServer


def history(session: Session, number: str) -> list[str]:
    return [envelope.type for envelope in log.about(session, number)]


def test_a_customer_cancels_until_the_order_is_shipped(database: Database) -> None:
    with transaction() as session:
        stocked(session)
    order = placed()

    assert cancelled(order).status == "cancelled"
    with reading() as session:
        after = orders.find(session, order.id)
        assert (after.reason, after.shipment) == ("changed my mind", "cancelled")
        assert history(session, order.number) == ["order.created", "order.cancelled"]
        assert audit.listed(session) == []  # operators' acts only
        [line] = audit.listed(session, filters=Filters(role=Role.CUSTOMER))
        assert (line.who, line.action, line.target, line.why) == (
            "customer",
            "cancel",
            order.number,
            "changed my mind",
        )


def test_an_order_is_cancelled_once(database: Database) -> None:
    with transaction() as session:
        stocked(session)
    order = placed()
    cancelled(order)

    with pytest.raises(NotCancellable, match=f"{order.number} is cancelled already"):
        cancelled(order)
    with reading() as session:
        assert history(session, order.number) == ["order.created", "order.cancelled"]


def test_a_shipped_order_cannot_be_cancelled(session: Session) -> None:
    stocked(session)
    order = orders.find(session, placing.place(session, place_order()).id)
    order.status = "shipped"

    with pytest.raises(NotCancellable, match="is shipped already"):
        orders.cancel(session, order.id, reason="too late", who=None)


@pytest.mark.parametrize(
    "act",
    [
        orders.find,
        lambda session, order_id: orders.cancel(session, order_id, reason="", who=None),
    ],
)
def test_an_unknown_order_is_said_to_be_unknown(session: Session, act: object) -> None:
    assert callable(act)
    with pytest.raises(UnknownOrder, match="no order has the id 'o-9'") as refused:
        act(session, "o-9")
    assert refused.value.status == 404


def test_of_confirming_and_cancelling_at_once_one_wins(any_database: Database) -> None:
    with transaction() as session:
        stocked(session)
    placed_ones = [placed() for _ in range(10)]

    def act(step: int) -> object:
        with transaction() as session:
            order_id = placed_ones[step // 2].id
            return (
                orders.confirm(session, order_id)
                if step % 2
                else orders.cancel_if_open(session, order_id, "out of stock")
            )

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(act, range(20)))

    for cancellation, confirmation, order in zip(
        outcomes[::2], outcomes[1::2], placed_ones, strict=True
    ):
        assert cancellation is not None  # a confirmed order can still be cancelled
        assert found(order).status == "cancelled"
        assert confirmation is None or found(order).reason == "out of stock"


def test_orders_are_listed_newest_first_page_by_page(session: Session) -> None:
    stocked(session)
    made = [placing.place(session, place_order()).number for _ in range(5)]

    first = orders.listed(session, 2)
    second = orders.listed(session, 2, before=first[-1].key)

    assert [order.number for order in [*first, *second]] == made[:0:-1]


def test_only_the_orders_own_token_reads_it(session: Session) -> None:
    stocked(session)
    order, other = placing.place(session, place_order()), placing.place(session, place_order())

    assert orders.may_read(order, order.token)
    for wrong in (None, "", other.token, order.token + "x", "\ud800", "ü"):
        assert not orders.may_read(order, wrong)


def test_an_order_that_was_not_placed_here_gets_its_row_once(any_database: Database) -> None:
    for _ in range(2):
        with transaction() as session:
            checkout.open_checkout([order_created(MUG=2)], session)
    with reading() as session:
        [order] = orders.listed(session)
        assert (order.id, order.number, order.status, order.lines) == (
            "o-1",
            "ORD-o-1",
            "placed",
            lines(MUG=2),
        )


def test_ensuring_an_order_leaves_an_existing_one_alone(session: Session) -> None:
    stocked(session)
    order = placing.place(session, place_order())
    [published] = log.about(session, order.number)
    created = published.event()
    assert isinstance(created, OrderCreated)

    checkout.open_checkout([created], session)

    assert orders.find(session, order.id).token == order.token
    assert len(orders.listed(session)) == 1


def stuck() -> list[str]:
    with reading() as session:
        return [order.number for order in orders.without_next_step(session)]


def test_an_order_whose_step_was_discarded_is_stuck_until_it_is_cancelled(any_bus: Bus) -> None:
    any_bus.fail_fast = False
    order = placed("tok_broken", MUG=1)
    assert stuck() == []  # its event is not relayed yet
    for _ in range(12):
        any_bus.advance(600)
        assert stuck() == []  # it is retried, and then it is a dead letter, which a person sees

    assert dead_letters.discard(who="ada", why="test", everything=True) == 1
    assert stuck() == [order.number]

    cancelled(order)
    any_bus.drain()
    assert stuck() == []
    assert (found(order).status, found(order).stock) == ("cancelled", "released")


def test_an_order_is_stuck_although_its_mails_are_still_retried(
    bus: Bus, mail_server: MailServer
) -> None:
    bus.fail_fast = False
    mail_server.refuse_mails = "450 4.2.0 greylisted"
    order = placed("tok_broken")
    for _ in range(10):
        bus.advance(60)
    dead_letters.discard(who="ada", why="test", queue="payment")

    assert {row.state for row in bus.deliveries() if row.queue == "email"} == {"retrying"}
    assert stuck() == [order.number]


def test_orders_that_ended_are_not_stuck(any_bus: Bus) -> None:
    placed(MUG=1)
    placed("tok_declined", MUG=1)
    any_bus.drain()

    assert stuck() == []
