"""Placing orders."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from events import Actor, Context, Database, acting, log, reading, transaction
from events.catalog import Line, Money, OrderCreated
from events.gathered import gathering
from events.tables import LogEntry
from tasks import inventory, orders, placing, products
from tasks.commands import PlaceOrder
from tasks.errors import InsufficientStock, UnknownSku
from tests.tasks.builders import BERLIN, lines, order_data, place_order, placed, stocked


def test_an_order_is_saved_with_its_event(session: Session) -> None:
    stocked(session)

    order = placing.place(session, place_order(MUG=2, TEE=1))

    [published] = log.about(session, order.number)
    assert published.event() == OrderCreated(
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
    order = orders.find(session, placing.place(session, place_order()).id)

    assert (order.status, order.stock, order.payment, order.shipment) == (
        "placed",
        "waiting",
        "waiting",
        "waiting",
    )
    assert order.number == f"ORD-{1000 + order.key}"
    assert order.total == Money(amount=2500, currency="EUR")
    assert order.address == BERLIN


def test_an_order_that_is_rolled_back_has_no_event(database: Database) -> None:
    with transaction() as session:
        stocked(session)

    def place_and_fail() -> None:
        with transaction() as session:
            placing.place(session, place_order())
            raise ConnectionError

    with pytest.raises(ConnectionError):
        place_and_fail()
    with reading() as session:
        assert session.scalars(select(LogEntry)).all() == []
        assert orders.listed(session) == []


def test_a_command_cannot_name_a_price() -> None:
    with pytest.raises(ValidationError):
        PlaceOrder.model_validate({**order_data(), "total": 1})


def test_the_same_product_on_two_lines_is_one_line(session: Session) -> None:
    stocked(session)
    twice = place_order().model_copy(
        update={"items": place_order(MUG=2, TEE=1).items + place_order(MUG=3).items}
    )

    assert placing.place(session, twice).lines == lines(MUG=5, TEE=1)


def test_an_unknown_sku_is_named_with_its_place(session: Session) -> None:
    stocked(session)
    with pytest.raises(UnknownSku, match="there is no product HAT") as refused:
        placing.place(session, place_order(MUG=1, HAT=1))
    assert refused.value.field == "items.1.sku"


def test_an_order_that_is_refused_writes_no_row(session: Session) -> None:
    stocked(session, MUG=1)
    for wanted in (place_order(HAT=1), place_order(MUG=2)):
        with pytest.raises((UnknownSku, InsufficientStock)):
            products.quote(session, wanted, stock_levels=inventory.stock_levels(session))
    assert orders.listed(session) == []


def test_with_stock_levels_too_large_an_order_is_refused(session: Session) -> None:
    stocked(session, MUG=5, TEE=1)
    with pytest.raises(InsufficientStock, match="only 1 of T-shirt M are left") as refused:
        products.quote(
            session, place_order(MUG=2, TEE=2), stock_levels=inventory.stock_levels(session)
        )
    assert refused.value.field == "items.1.quantity"


def test_with_stock_levels_an_order_for_a_sold_out_product_is_refused(session: Session) -> None:
    stocked(session)
    with pytest.raises(InsufficientStock, match="Blue mug is sold out"):
        products.quote(session, place_order(MUG=1), stock_levels=inventory.stock_levels(session))


def test_the_last_piece_can_be_ordered(session: Session) -> None:
    stocked(session, MUG=2)
    quoted = products.quote(
        session, place_order(MUG=2), stock_levels=inventory.stock_levels(session)
    )
    assert quoted == lines(MUG=2)


def test_without_stock_levels_inventory_decides_later(session: Session) -> None:
    stocked(session)
    assert placing.place(session, place_order(MUG=99)).status == "placed"


def test_the_event_carries_who_ordered_from_where(session: Session) -> None:
    stocked(session)
    with acting(Context(actor=Actor(user="ada", tenant="north", ip="192.0.2.7", agent="curl"))):
        order = placing.place(session, place_order())

    [published] = log.about(session, order.number)
    assert published.actor == Actor(user="ada", tenant="north", ip="192.0.2.7", agent="curl")
    assert published.subject == order.number


def test_orders_placed_at_once_have_numbers_of_their_own(any_database: Database) -> None:
    with transaction() as session:
        stocked(session)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: placed(), range(20)))
    assert len({order.number for order in made}) == len({order.token for order in made}) == 20


def test_the_orders_of_a_group_are_inserted_in_one_statement_with_their_own_events(
    any_database: Database,
) -> None:
    with transaction() as session:
        stocked(session)
    statements: list[str] = []
    event.listen(
        any_database.writer,
        "before_cursor_execute",
        lambda c, cursor, statement, *_: statements.append(statement.partition(" (")[0]),
    )
    with transaction() as session, gathering(session, 3):
        made = [_place(session, name) for name in ("ada", "bob", "eve")]
    assert statements.count("INSERT INTO orders") == 1
    assert statements.count("INSERT INTO events") == 1
    with transaction() as session, gathering(session, 1):  # fewer than there are
        made += [_place(session, name) for name in ("kim", "lee")]
    made.append(placed())

    assert len({order.number for order in made}) == 6
    with reading() as session:
        for order in made:
            saved = orders.find(session, order.id)
            assert (saved.key, saved.number, saved.lines) == (order.key, order.number, order.lines)
            [published] = log.about(session, order.number)
            assert published.data["order_id"] == order.id
        users = [log.about(session, order.number)[0].actor.user for order in made]
    assert users == ["ada", "bob", "eve", "kim", "lee", None]


def _place(session: Session, user: str) -> placing.PlacedOrder:
    with acting(Context(actor=Actor(user=user))):
        return placing.place(session, place_order(MUG=1))


def test_a_line_keeps_name_and_price_of_the_day(session: Session) -> None:
    stocked(session)
    order = placing.place(session, place_order(MUG=1))
    products.by_sku(session, ["MUG"])["MUG"].price_amount = 9999

    assert orders.find(session, order.id).lines == (
        Line(sku="MUG", name="Blue mug", quantity=1, price=Money(amount=1250, currency="EUR")),
    )
