"""The commands that a customer may give. They are validated here and nowhere else."""

import re
import unicodedata
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from events.catalog import Address
from events.emails import Email
from events.inputs import PlainText
from tasks.countries import Country, needs_postcode

MAX_QUANTITY = 99  # of one product in an order
_SKU = re.compile(r"[A-Z0-9][A-Z0-9-]{0,31}")
_NUMBER = re.compile(r"#? ?(?:ORD[ -]?)?0*([1-9][0-9]*)", re.IGNORECASE)
_DASHES = re.compile("[\u2010-\u2015\u2212]")  # what a word processor makes of a hyphen


def sku(text: str) -> str:
    """Return the sku. Raises an error unless it is written as skus are."""
    if not _SKU.fullmatch(text):
        raise PydanticCustomError(
            "sku", "write a sku of up to 32 capitals, digits and hyphens, such as MUG-BLUE"
        )
    return text


def order_number(text: str) -> str:
    """Return an order's number as it is stored: `1042`, `#1042` and `ord-1042` are ORD-1042.

    Any other text is returned as it is, for subjects that are no order.
    """
    typed = _DASHES.sub("-", unicodedata.normalize("NFKC", text)).strip()
    found = _NUMBER.fullmatch(typed)
    return f"ORD-{found[1]}" if found else text.strip()


Sku = Annotated[
    str,
    AfterValidator(sku),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z0-9][A-Z0-9-]{0,31}$"}),
]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Command(BaseModel):
    """Base of the commands and of their parts: strict, immutable, without unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Customer(Command):
    """The person who orders."""

    name: Annotated[str, PlainText(100)] = Field(examples=["Ada Example"])
    email: Email = Field(examples=["ada@example.org"])


class Item(Command):
    """A quantity of one product."""

    sku: Sku = Field(examples=["MUG-BLUE"])
    quantity: int = Field(ge=1, le=MAX_QUANTITY, examples=[2])


class ShippingAddress(Command):
    """The destination of the parcel."""

    line1: Annotated[str, PlainText(100)] = Field(examples=["1 Test Street"])
    line2: Annotated[str, PlainText(100, optional=True)] = Field(default="")
    city: Annotated[str, PlainText(60)] = Field(examples=["Berlin"])
    country: Country = Field(examples=["DE"])
    postcode: Annotated[str, PlainText(16, optional=True)] = Field(
        default="",
        validate_default=True,
        description="may be left out where the country's post works without",
        examples=["10115"],
    )

    @field_validator("postcode")
    @classmethod
    def require_postcode(cls, value: str, info: ValidationInfo) -> str:
        """Refuse an address without the postcode that its country needs."""
        country = info.data.get("country")
        if not value and country and needs_postcode(country):
            raise PydanticCustomError(
                "postcode", "write the postcode: {country} has them", {"country": country}
            )
        return value

    def address(self) -> Address:
        """Return the address as events carry it."""
        return Address(**self.model_dump())


class PlaceOrder(Command):
    """A request to place an order. Prices come from the products; a command cannot set them."""

    customer: Customer
    items: list[Item] = Field(min_length=1, max_length=50)
    shipping_address: ShippingAddress
    payment_token: Token = Field(examples=["tok_ok"])
