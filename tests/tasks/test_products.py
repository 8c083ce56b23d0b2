"""The products of a new shop."""

from sqlalchemy.orm import Session

from events import Database, reading, transaction
from events.catalog import Money
from tasks import inventory, products


def test_the_shop_opens_with_a_dozen_products_in_stock(any_database: Database) -> None:
    for _ in range(2):
        with transaction() as session:
            products.seed(session)
            inventory.add_opening_stock(session, products.OPENING_STOCK)
    with reading() as session:
        offered = products.listed(session)
        assert len(offered) == 12
        assert {product.currency for product in offered} == {"EUR"}
        assert inventory.stock_levels(session)["LAMP-BRASS"] == 5
        assert set(inventory.stock_levels(session)) == {product.sku for product in offered}


def test_a_product_that_was_repriced_keeps_its_price_when_the_shop_opens_again(
    session: Session,
) -> None:
    products.seed(session)
    mug = products.by_sku(session, ["MUG-BLUE"])["MUG-BLUE"]
    mug.price_amount = 1

    products.seed(session)

    assert products.by_sku(session, ["MUG-BLUE", "NO-SUCH"])["MUG-BLUE"].price == Money(
        amount=1, currency="EUR"
    )
