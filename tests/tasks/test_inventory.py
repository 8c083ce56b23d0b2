"""Reserving and releasing stock."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from events import Database, transaction
from events.catalog import InventoryReleased, InventoryReservationFailed, InventoryReserved
from tasks.inventory import (
    Movement,
    OutOfStock,
    Stock,
    add_opening_stock,
    add_stock,
    release_stock,
    reserve_stock,
    stock_levels,
)
from tests.tasks.builders import lines, order_cancelled, order_created, stocked


def moved(session: Session) -> dict[str, int]:
    totals = session.execute(
        select(Movement.sku, func.sum(Movement.quantity)).group_by(Movement.sku)
    )
    return {sku: int(total) for sku, total in totals}


def test_an_order_reserves_its_lines(session: Session) -> None:
    stocked(session, MUG=5, TEE=3)

    outcome = reserve_stock(order_created(MUG=2, TEE=3), session)

    assert outcome == InventoryReserved(order_id="o-1", lines=lines(MUG=2, TEE=3))
    assert stock_levels(session) == {"MUG": 3, "TEE": 0}


def test_an_order_that_cannot_be_filled_reserves_nothing(session: Session) -> None:
    stocked(session, MUG=5, TEE=1)

    outcome = reserve_stock(order_created(MUG=2, TEE=3), session)

    assert outcome == InventoryReservationFailed(order_id="o-1", sku="TEE")
    assert stock_levels(session) == {"MUG": 5, "TEE": 1}
    assert moved(session) == {"MUG": 5, "TEE": 1}


def test_a_product_that_was_never_stocked_is_out_of_stock(session: Session) -> None:
    assert reserve_stock(order_created(MUG=1), session) == InventoryReservationFailed(
        order_id="o-1", sku="MUG"
    )


def test_a_second_line_of_the_same_product_counts_too(session: Session) -> None:
    stocked(session, MUG=3)
    event = order_created().model_copy(update={"lines": lines(MUG=2) + lines(MUG=2)})

    assert reserve_stock(event, session) == InventoryReservationFailed(order_id="o-1", sku="MUG")
    assert stock_levels(session) == {"MUG": 3}


def test_a_cancelled_order_gives_its_stock_back(session: Session) -> None:
    stocked(session, MUG=5)
    reserve_stock(order_created(MUG=2), session)

    assert release_stock(order_cancelled(), session) == InventoryReleased(
        order_id="o-1", lines=lines(MUG=2)
    )
    assert stock_levels(session) == {"MUG": 5}


def test_stock_is_given_back_once(session: Session) -> None:
    stocked(session, MUG=5)
    reserve_stock(order_created(MUG=2), session)
    release_stock(order_cancelled(), session)

    assert release_stock(order_cancelled(), session) is None
    assert stock_levels(session) == {"MUG": 5}


def test_stock_is_set_aside_once(session: Session) -> None:
    stocked(session, MUG=5)
    reserve_stock(order_created(MUG=2), session)

    assert reserve_stock(order_created(MUG=2), session) is None
    assert stock_levels(session) == {"MUG": 3}


def test_an_order_that_was_cancelled_first_gets_nothing_set_aside(session: Session) -> None:
    stocked(session, MUG=5)

    assert release_stock(order_cancelled(), session) is None
    assert reserve_stock(order_created(MUG=2), session) is None
    assert stock_levels(session) == {"MUG": 5}


def test_cancelling_an_order_that_got_nothing_gives_nothing_back(session: Session) -> None:
    stocked(session, MUG=1)
    reserve_stock(order_created(MUG=2), session)

    assert release_stock(order_cancelled(), session) is None
    assert stock_levels(session) == {"MUG": 1}


def test_every_movement_is_in_the_ledger(session: Session) -> None:
    stocked(session, MUG=5)
    reserve_stock(order_created(MUG=2), session)
    release_stock(order_cancelled(), session)

    rows = session.execute(
        select(Movement.quantity, Movement.reason, Movement.order_id).order_by(Movement.id)
    )
    assert [tuple(row) for row in rows] == [
        (5, "stocked", None),
        (-2, "reserved", "o-1"),
        (2, "released", "o-1"),
    ]


def test_stock_grows_by_what_is_added(session: Session) -> None:
    add_stock(session, "MUG", 5)
    add_stock(session, "MUG", 2)

    assert stock_levels(session) == {"MUG": 7}


@pytest.mark.parametrize("quantity", [0, -1])
def test_nothing_and_less_cannot_be_added(session: Session, quantity: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        add_stock(session, "MUG", quantity)


def test_opening_stock_is_added_only_of_products_without_stock(session: Session) -> None:
    add_stock(session, "MUG", 1)

    add_opening_stock(session, {"MUG": 10, "TEE": 10})

    assert stock_levels(session) == {"MUG": 1, "TEE": 10}


def test_the_database_itself_refuses_less_than_nothing(any_database: Database) -> None:
    with pytest.raises(IntegrityError), transaction() as session:
        session.add(Stock(sku="MUG", available=-1))


def test_being_out_of_stock_is_said_with_the_sku() -> None:
    assert str(OutOfStock("MUG")) == "not enough of MUG in stock"


def test_workers_that_reserve_at_once_never_share_a_piece(any_database: Database) -> None:
    with transaction() as session:
        stocked(session, MUG=10)

    def reserve(number: int) -> bool:
        with transaction() as session:
            return isinstance(
                reserve_stock(order_created(f"o-{number}", MUG=1), session), InventoryReserved
            )

    with ThreadPoolExecutor(8) as pool:
        reserved = list(pool.map(reserve, range(25)))

    with transaction() as session:
        assert sum(reserved) == 10
        assert stock_levels(session) == moved(session) == {"MUG": 0}


def test_orders_of_the_same_products_in_another_order_do_not_block_each_other(
    any_database: Database,
) -> None:
    with transaction() as session:
        stocked(session, MUG=100, TEE=100)

    def reserve(number: int) -> object:
        ordered = {"MUG": 1, "TEE": 1} if number % 2 else {"TEE": 1, "MUG": 1}
        with transaction() as session:
            return reserve_stock(order_created(f"o-{number}", **ordered), session)

    with ThreadPoolExecutor(8) as pool:
        assert all(
            isinstance(outcome, InventoryReserved) for outcome in pool.map(reserve, range(40))
        )


def test_a_reservation_that_crosses_with_its_cancellation_leaves_the_stock_full(
    any_database: Database,
) -> None:
    with transaction() as session:
        stocked(session, MUG=40)

    def run(step: int) -> None:
        with transaction() as session:
            if step % 2:
                reserve_stock(order_created(f"o-{step // 2}", MUG=1), session)
            else:
                release_stock(order_cancelled(f"o-{step // 2}"), session)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(40)))

    with transaction() as session:
        assert stock_levels(session) == moved(session) == {"MUG": 40}
