"""The products of the shop, their prices, and the quote for an order."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from time import monotonic

from sqlalchemy import String, Text, bindparam, event, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, insert_if_absent, reading
from events.catalog import Line, Money
from events.database import database
from events.orm import BigInt, table_of
from tasks.commands import MAX_QUANTITY, Item, PlaceOrder
from tasks.errors import (
    AmountTooLarge,
    InsufficientStock,
    MixedCurrencies,
    TooMany,
    UnknownSku,
)
from tasks.money import MAX_AMOUNT, money_text

PRICES_KEPT = 1.0  # seconds; a price that another process changed is noticed after so long


class Product(Base):
    """A product that can be ordered."""

    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(Text)
    price_amount: Mapped[BigInt]
    currency: Mapped[str] = mapped_column(String(3))
    active: Mapped[bool] = mapped_column(default=True)  # else it is no longer sold

    @property
    def price(self) -> Money:
        """The price of one piece."""
        return Money(amount=self.price_amount, currency=self.currency)


# The products of a new shop: sku, name, description, price in cents.
SEED = (
    ("APRON-LINEN", "Linen apron", "Washed linen, crossed at the back, two pockets.", 4900),
    ("BOTTLE-STEEL", "Steel bottle, 0.5 l", "Double-walled; warm ten hours, cold a day.", 2950),
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
OPENING_STOCK = {sku: 1000 for sku, *_ in SEED} | {"LAMP-BRASS": 5, "SCARF-WOOL": 40}


def seed(session: Session) -> None:
    """Insert the products of a new shop that are missing; existing ones keep their prices."""
    rows = [
        {
            "sku": sku,
            "name": name,
            "description": description,
            "price_amount": cents,
            "currency": "EUR",
            "active": True,
        }
        for sku, name, description, cents in SEED
    ]
    insert_if_absent(session, Product, *rows)


def listed(session: Session, *, inactive: bool = False) -> Sequence[Product]:
    """Return the products that are sold, sorted by name; with `inactive`, all products."""
    wanted = select(Product).order_by(Product.name, Product.sku)
    return session.scalars(wanted if inactive else wanted.where(Product.active)).all()


def by_sku(session: Session, skus: Iterable[str]) -> Mapping[str, Product]:
    """Return the products with these skus; unknown skus are left out."""
    found = session.scalars(select(Product).where(Product.sku.in_(list(skus))))
    return {product.sku: product for product in found}


def quote(
    session: Session, command: PlaceOrder, *, stock_levels: Mapping[str, int] | None = None
) -> tuple[Line, ...]:
    """Return the lines of an order at today's prices.

    With `stock_levels`, by sku, an order for more than is in stock is refused at once. Stock may
    still be sold before it is reserved; the order is cancelled then. Raises `InsufficientStock` and
    as `price_lines` does, with the `field` of the item.
    """
    lines = price_lines(session, command.items)
    if stock_levels is not None:
        _check_stock(command, lines, stock_levels)
    return lines


def _check_stock(
    command: PlaceOrder, lines: Sequence[Line], stock_levels: Mapping[str, int]
) -> None:
    skus = [item.sku for item in command.items]
    for line in lines:
        left = stock_levels.get(line.sku, 0)
        if line.quantity > left:
            message = f"only {left} of {line.name} are left" if left else f"{line.name} is sold out"
            raise InsufficientStock(message, field=f"items.{skus.index(line.sku)}.quantity")


_P = table_of(Product).c
_PRICES = select(_P.sku, _P.name, _P.price_amount, _P.currency).where(
    _P.sku.in_(bindparam("skus", expanding=True)), _P.active
)
Offers = Mapping[str, tuple[str, Money]]  # name and price by sku


def _offers(session: Session, skus: Collection[str]) -> Offers:
    found = session.execute(_PRICES, {"skus": list(skus)})
    return {
        sku: (name, Money(amount=price, currency=currency)) for sku, name, price, currency in found
    }


class _RecentOffers:
    """Offers read within the last `PRICES_KEPT`: the query took a quarter of the time of an order.

    A product that is not found is asked for each time.
    """

    def __init__(self) -> None:
        self._read: dict[str, tuple[str, Money]] = {}
        self._source: object = None
        self._since = 0.0

    def get(self, skus: Collection[str]) -> Offers:
        now, source = monotonic(), database()
        if now - self._since > PRICES_KEPT or source is not self._source:
            self._read, self._source, self._since = {}, source, now
        read = self._read
        if missing := [sku for sku in skus if sku not in read]:
            with reading() as session:
                read.update(_offers(session, missing))
        return read

    def clear(self) -> None:
        self._since = 0.0


_recent = _RecentOffers()


def forget_recent(session: Session) -> None:
    """Let this process read all prices anew once the session's transaction is committed."""
    event.listen(session, "after_commit", lambda _: _recent.clear(), once=True)


def recent_quote(command: PlaceOrder) -> tuple[Line, ...]:
    """Return the lines of an order at committed prices that are at most `PRICES_KEPT` old.

    No session is opened for prices that are kept. Raises as `price_lines` does.
    """
    return _lines(command.items, _recent.get({item.sku for item in command.items}))


def price_lines(session: Session, items: Sequence[Item]) -> tuple[Line, ...]:
    """Return one line per product at its current price, in the order of the items.

    Raises `UnknownSku`, `TooMany`, `MixedCurrencies` and `AmountTooLarge`.
    """
    return _lines(items, _offers(session, {item.sku for item in items}))


def _lines(items: Sequence[Item], offers: Offers) -> tuple[Line, ...]:
    quantities: Counter[str] = Counter()
    total = 0
    for index, item in enumerate(items):
        if item.sku not in offers:
            raise UnknownSku(f"there is no product {item.sku}", field=f"items.{index}.sku")
        quantities[item.sku] += item.quantity
        name, price = offers[item.sku]
        total += price.amount * item.quantity
        _check_item(name, quantities[item.sku], index)
        _check_total(price, offers[items[0].sku][1].currency, total, index)
    return tuple(
        Line(sku=sku, name=offers[sku][0], quantity=quantity, price=offers[sku][1])
        for sku, quantity in quantities.items()
    )


def _check_item(name: str, quantity: int, index: int) -> None:
    if quantity > MAX_QUANTITY:
        raise TooMany(
            f"order at most {MAX_QUANTITY} of {name}, not {quantity}",
            field=f"items.{index}.quantity",
        )


def _check_total(price: Money, currency: str, total: int, index: int) -> None:
    if price.currency != currency:
        raise MixedCurrencies(
            f"its price is in {price.currency}, and that of another product in {currency}; "
            "order them apart",
            field=f"items.{index}.sku",
        )
    if total > MAX_AMOUNT:
        largest = money_text(Money(amount=MAX_AMOUNT, currency=currency))
        raise AmountTooLarge(
            f"the order would cost more than {largest}; order less",
            field=f"items.{index}.quantity",
        )
