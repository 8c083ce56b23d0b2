"""The first day of the shop: products in the catalogue, stock on the shelf."""

from sqlalchemy.orm import Session

from tasks import inventory, products

PLENTY = 1000
SCARCE = {"LAMP-BRASS": 5, "SCARF-WOOL": 40}


def open_shop(session: Session) -> None:
    """Fill the catalogue and the shelf where they are empty; a second call changes nothing."""
    products.seed(session)
    inventory.fill_shelf(session, {sku: SCARCE.get(sku, PLENTY) for sku, *_ in products.SEED})
