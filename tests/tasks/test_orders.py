from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Actor, Context, Database, acting, log, reading, transaction
from events.admin import audit
from events.catalog import Line, Money, OrderCreated
from events.tables import LogEntry
from tasks import inventory, orders, products
from tasks.commands import PlaceOrder
from tasks.orders import NotCancellable, OutOfStockNow, UnknownOrder, UnknownSku
from tests.tasks.builders import (
    BERLIN,
    cancelled,
    found,
    lines,
    order_created,
    placed,
    stocked,
    wish,
    wished,
)


def history(session: Session, number: str) -> list[str]:
    return [envelope.type for envelope in log.about(session, number)]


def test_an_order_is_saved_with_the_event_that_tells_of_it(session: Session) -> None:
    stocked(session)

    order = orders.place(session, wish(MUG=2, TEE=1))

    [told] = log.about(session, order.number)
    assert told.event() == OrderCreated(
        order_id=order.id,
        number=order.number,
        customer="Ada Example",
        email="ada@example.org",
        lines=lines(MUG=2, TEE=1),
        total=Money(amount=4250, currency="EUR"),
        shipping_address=BERLIN,
        payment_token="tok_ok",
    )


def test_a_new_order_waits_for_everything(session: Session) -> None:
    stocked(session)
    order = orders.find(session, orders.place(session, wish()).id)

    assert (order.status, order.stock, order.payment, order.shipment) == (
        "placed",
        "waiting",
        "waiting",
        "waiting",
    )
    assert order.number == f"ORD-{1000 + order.key}"
    assert order.total == Money(amount=2500, currency="EUR")
    assert order.address == BERLIN


def test_an_order_that_is_rolled_back_was_never_told(database: Database) -> None:
    with transaction() as session:
        stocked(session)

    def place_and_fail() -> None:
        with transaction() as session:
            orders.place(session, wish())
            raise ConnectionError

    with pytest.raises(ConnectionError):
        place_and_fail()
    with reading() as session:
        assert session.scalars(select(LogEntry)).all() == []
        assert orders.listed(session) == []


def test_a_wish_cannot_name_a_price() -> None:
    with pytest.raises(ValidationError):
        PlaceOrder.model_validate({**wished(), "total": 1})


def test_the_same_product_on_two_lines_is_one_line(session: Session) -> None:
    stocked(session)
    twice = wish().model_copy(update={"items": wish(MUG=2, TEE=1).items + wish(MUG=3).items})

    assert orders.place(session, twice).lines == lines(MUG=5, TEE=1)


def test_an_unknown_sku_is_named_with_its_place(session: Session) -> None:
    stocked(session)
    with pytest.raises(UnknownSku, match="there is no product HAT") as refused:
        orders.place(session, wish(MUG=1, HAT=1))
    assert refused.value.field == "items.1.sku"


def test_an_order_that_is_refused_writes_no_row(session: Session) -> None:
    stocked(session, MUG=1)
    for wanted in (wish(HAT=1), wish(MUG=2)):
        with pytest.raises((UnknownSku, OutOfStockNow)):
            orders.place(session, wanted, shelf=inventory.shelf(session))
    assert orders.listed(session) == []


def test_with_a_look_at_the_shelf_too_large_an_order_is_refused(session: Session) -> None:
    stocked(session, MUG=5, TEE=1)
    with pytest.raises(OutOfStockNow, match="only 1 of T-shirt M are left") as refused:
        orders.place(session, wish(MUG=2, TEE=2), shelf=inventory.shelf(session))
    assert refused.value.field == "items.1.quantity"


def test_with_a_look_at_the_shelf_what_is_sold_out_is_refused(session: Session) -> None:
    stocked(session)
    with pytest.raises(OutOfStockNow, match="Blue mug is sold out"):
        orders.place(session, wish(MUG=1), shelf=inventory.shelf(session))


def test_the_last_piece_can_be_ordered(session: Session) -> None:
    stocked(session, MUG=2)
    assert orders.place(session, wish(MUG=2), shelf=inventory.shelf(session)).status == "placed"


def test_without_a_look_at_the_shelf_inventory_decides_later(session: Session) -> None:
    stocked(session)
    assert orders.place(session, wish(MUG=99)).status == "placed"


def test_the_event_carries_who_ordered_from_where(session: Session) -> None:
    stocked(session)
    with acting(Context(actor=Actor(user="ada", tenant="north", ip="192.0.2.7", agent="curl"))):
        order = orders.place(session, wish())

    [told] = log.about(session, order.number)
    assert told.actor == Actor(user="ada", tenant="north", ip="192.0.2.7", agent="curl")
    assert told.subject == order.number


def test_a_customer_cancels_until_the_order_is_shipped(database: Database) -> None:
    with transaction() as session:
        stocked(session)
    order = placed()

    assert cancelled(order).status == "cancelled"
    with reading() as session:
        after = orders.find(session, order.id)
        assert (after.reason, after.shipment) == ("changed my mind", "cancelled")
        assert history(session, order.number) == ["order.created", "order.cancelled"]
        [line] = audit.listed(session)
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
    order = orders.place(session, wish())
    order.status = "shipped"

    with pytest.raises(NotCancellable, match="is shipped already"):
        orders.cancel(session, order.id, reason="too late", who="customer")


@pytest.mark.parametrize(
    "act", [orders.find, lambda session, id: orders.cancel(session, id, reason="", who="customer")]
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
            id = placed_ones[step // 2].id
            return (
                orders.confirm(session, id)
                if step % 2
                else orders.call_off(session, id, "out of stock")
            )

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(act, range(20)))

    for call_off, confirm, order in zip(outcomes[::2], outcomes[1::2], placed_ones, strict=True):
        assert call_off is not None  # a confirmed order can still be called off
        assert found(order).status == "cancelled"
        assert confirm is None or found(order).reason == "out of stock"


def test_orders_placed_at_once_have_numbers_of_their_own(any_database: Database) -> None:
    with transaction() as session:
        stocked(session)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: placed(), range(20)))
    assert len({order.number for order in made}) == len({order.token for order in made}) == 20


def test_orders_are_listed_newest_first_page_by_page(session: Session) -> None:
    stocked(session)
    made = [orders.place(session, wish()).number for _ in range(5)]

    first = orders.listed(session, 2)
    second = orders.listed(session, 2, before=first[-1].key)

    assert [order.number for order in [*first, *second]] == made[:0:-1]


def test_only_the_orders_own_token_reads_it(session: Session) -> None:
    stocked(session)
    order, other = orders.place(session, wish()), orders.place(session, wish())

    assert orders.may_read(order, order.token)
    for wrong in (None, "", other.token, order.token + "x", "\ud800", "ü"):
        assert not orders.may_read(order, wrong)


def test_an_order_that_came_by_another_door_gets_its_row_once(any_database: Database) -> None:
    for _ in range(2):
        with transaction() as session:
            orders.ensure_order(session, order_created(MUG=2))
    with reading() as session:
        [order] = orders.listed(session)
        assert (order.id, order.number, order.status, order.lines) == (
            "o-1",
            "ORD-o-1",
            "placed",
            lines(MUG=2),
        )


def test_adopting_leaves_a_known_order_alone(session: Session) -> None:
    stocked(session)
    order = orders.place(session, wish())
    [told] = log.about(session, order.number)
    created = told.event()
    assert isinstance(created, OrderCreated)

    orders.ensure_order(session, created)

    assert orders.find(session, order.id).token == order.token
    assert len(orders.listed(session)) == 1


def test_the_shop_opens_with_a_dozen_products_on_the_shelf(any_database: Database) -> None:
    for _ in range(2):
        with transaction() as session:
            products.seed(session)
            inventory.fill_shelf(session, products.OPENING_STOCK)
    with reading() as session:
        offered = products.listed(session)
        assert len(offered) == 12
        assert {product.currency for product in offered} == {"EUR"}
        assert inventory.shelf(session)["LAMP-BRASS"] == 5
        assert set(inventory.shelf(session)) == {product.sku for product in offered}


def test_a_product_that_was_repriced_keeps_its_price_when_the_shop_opens_again(
    session: Session,
) -> None:
    products.seed(session)
    mug = products.priced(session, ["MUG-BLUE"])["MUG-BLUE"]
    mug.price_amount = 1

    products.seed(session)

    assert products.priced(session, ["MUG-BLUE", "NO-SUCH"])["MUG-BLUE"].price == Money(
        amount=1, currency="EUR"
    )


def test_a_line_keeps_name_and_price_of_the_day(session: Session) -> None:
    stocked(session)
    order = orders.place(session, wish(MUG=1))
    products.priced(session, ["MUG"])["MUG"].price_amount = 9999

    assert orders.find(session, order.id).lines == (
        Line(sku="MUG", name="Blue mug", quantity=1, price=Money(amount=1250, currency="EUR")),
    )
