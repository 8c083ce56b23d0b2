"""The shop's assortment: an operator adds and changes products. Each act is audited."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, model_validator
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from events.admin import audit
from events.catalog import Money
from events.errors import ReasonMissing
from events.inputs import PlainText
from tasks import inventory
from tasks.commands import Command, Sku
from tasks.errors import ProductExists, UnknownProduct
from tasks.money import Amount, Currency, money_text
from tasks.products import Product, forget_recent

Name = Annotated[str, PlainText(100)]
Description = Annotated[str, PlainText(500, optional=True)]
MAX_RESTOCK = 100_000  # pieces of one restocking
StockLevel = Annotated[int, Field(ge=0, le=inventory.MAX_STOCK)]


class Price(Command):
    """The price of one piece."""

    amount: Amount = Field(examples=[1250])
    currency: Currency = Field(examples=["EUR"])

    def money(self) -> Money:
        """Return the price as lines of orders carry it."""
        return Money(amount=self.amount, currency=self.currency)


class NewProduct(Command):
    """A product to add."""

    sku: Sku = Field(examples=["MUG-BLUE"])
    name: Name = Field(examples=["Blue mug"])
    description: Description = ""
    price: Price
    stock: StockLevel = Field(default=0, description="the pieces that can be ordered")
    active: bool = Field(default=True, description="false: it cannot be ordered")


class ProductChange(Command):
    """The changes of a product; what is left out stays."""

    name: Name | None = None
    description: Description | None = None
    price: Price | None = None
    stock: StockLevel | None = Field(default=None, description="the pieces that were counted")
    active: bool | None = None

    @model_validator(mode="after")
    def require_change(self) -> "ProductChange":
        """Refuse a command that changes nothing by mistake."""
        if not self.model_dump(exclude={"why"}, exclude_none=True):
            raise ValueError("give a name, description, price, stock or active to change")
        return self


def add(session: Session, command: NewProduct, *, who: str, why: str) -> Product:
    """Add a product with its stock. Raises `ProductExists`."""
    values = command.model_dump(include={"sku", "name", "description", "active"})
    price = command.price
    product = Product(**values, price_amount=price.amount, currency=price.currency)
    if session.get(Product, command.sku) is not None:
        raise ProductExists(command.sku)
    session.add(product)
    try:
        session.flush()
    except IntegrityError:  # somebody else added it at the same time
        raise ProductExists(command.sku) from None
    inventory.set_stock(session, command.sku, command.stock)
    text = f"{command.name}, {money_text(price.money())}, {command.stock} in stock"
    text += "" if command.active else ", not sold"
    if not why:
        raise ReasonMissing("add product")
    values = command.model_dump(mode="json", exclude={"why"})
    note = f"{text}: {why}"
    audit.record(
        session, who=who, action="add product", target=command.sku, why=note, parameters=values
    )
    return product


def change(
    session: Session, sku: str, command: ProductChange, *, who: str, why: str
) -> Sequence[str]:
    """Change a product and return the changes in words; if there are none, nothing is audited.

    Orders keep the price that they were placed at. Raises `UnknownProduct`.
    """
    product = find(session, sku)
    session.refresh(product, with_for_update=True)
    changes = list(_apply(session, product, command))
    if changes:
        forget_recent(session)
        if not why:
            raise ReasonMissing("change product")
        note = f"{', '.join(changes)}: {why}"
        values = command.model_dump(mode="json", exclude={"why"}, exclude_none=True)
        audit.record(
            session, who=who, action="change product", target=sku, why=note, parameters=values
        )
    return changes


def restock(session: Session, sku: str, quantity: int, *, who: str, why: str) -> None:
    """Add to the stock of a product. Raises `UnknownProduct`, and `ReasonMissing`."""
    product = find(session, sku)
    if not why:
        raise ReasonMissing("restock")
    inventory.add_stock(session, product.sku, quantity)
    note, values = f"{quantity} more: {why}", {"quantity": quantity}
    audit.record(session, who=who, action="restock", target=sku, why=note, parameters=values)


def find(session: Session, sku: str) -> Product:
    """Return the product with this sku, sold or not. Raises `UnknownProduct`."""
    product = session.get(Product, sku)
    if product is None:
        raise UnknownProduct(sku)
    return product


def _apply(session: Session, product: Product, command: ProductChange) -> Iterator[str]:
    """Set what is new, and yield each change in words."""
    for name in ("name", "description"):
        value = getattr(command, name)
        if value is not None and value != getattr(product, name):
            yield f"{name} {getattr(product, name) or 'empty'} to {value or 'empty'}"
            setattr(product, name, value)
    if command.price is not None and command.price.money() != product.price:
        yield f"price {money_text(product.price)} to {money_text(command.price.money())}"
        product.price_amount, product.currency = command.price.amount, command.price.currency
    if command.active is not None and command.active != product.active:
        yield "sold again" if command.active else "no longer sold"
        product.active = command.active
    if command.stock is not None:
        before = inventory.set_stock(session, product.sku, command.stock)
        if before != command.stock:
            yield f"stock {before} to {command.stock}"
