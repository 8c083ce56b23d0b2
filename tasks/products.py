"""What the shop sells, and for how much."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, insert_if_absent
from events.catalog import Money


class Product(Base):
    """One thing that can be ordered."""

    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(Text)
    price_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))

    @property
    def price(self) -> Money:
        """The price of one."""
        return Money(amount=self.price_amount, currency=self.currency)


SEED = (
    ("APRON-LINEN", "Linen apron", "Washed linen, crossed at the back, two pockets.", 4900),
    (
        "BOTTLE-STEEL",
        "Steel bottle, 0.5 l",
        "Double-walled; warm for ten hours, cold for a day.",
        2950,
    ),
    ("BREAD-KNIFE", "Bread knife", "Serrated 24 cm blade, walnut handle.", 6400),
    ("CANDLE-BEES", "Beeswax candle", "Burns for thirty hours and smells of summer.", 1250),
    ("COFFEE-250", "Coffee beans, 250 g", "Washed Ethiopian beans, roasted on Tuesdays.", 1190),
    ("LAMP-BRASS", "Brass desk lamp", "Turned by hand in small numbers.", 18900),
    ("MUG-BLUE", "Blue mug", "Stoneware, 0.3 l, fit for the dishwasher.", 1250),
    ("MUG-WHITE", "White mug", "Stoneware, 0.3 l, fit for the dishwasher.", 1250),
    ("NOTEBOOK-A5", "Notebook A5", "Dotted paper, thread-sewn, lies flat.", 890),
    ("SCARF-WOOL", "Wool scarf", "Merino, woven in Donegal, 180 cm.", 5900),
    ("TEE-M", "T-shirt M", "Heavy organic cotton, cut straight.", 1750),
    ("TOTE-CANVAS", "Canvas tote", "Carries a week of groceries.", 1500),
)
SCARCE = {"LAMP-BRASS": 5, "SCARF-WOOL": 40}
OPENING_STOCK = {sku: SCARCE.get(sku, 1000) for sku, *_ in SEED}


def seed(session: Session) -> None:
    """Put the products that come with the shop into the catalogue, where they are missing."""
    rows = [
        {
            "sku": sku,
            "name": name,
            "description": description,
            "price_amount": cents,
            "currency": "EUR",
        }
        for sku, name, description, cents in SEED
    ]
    insert_if_absent(session, Product, *rows)


def listed(session: Session) -> Sequence[Product]:
    """All products by name."""
    return session.scalars(select(Product).order_by(Product.name, Product.sku)).all()


def priced(session: Session, skus: Iterable[str]) -> Mapping[str, Product]:
    """The products with these skus; an unknown one is left out."""
    return {
        product.sku: product
        for product in session.scalars(select(Product).where(Product.sku.in_(list(skus))))
    }
