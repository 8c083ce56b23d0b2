"""The commands that a customer may give. They are validated here and nowhere else."""

from typing import Annotated

import pycountry
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from events.catalog import Address

# As in a character class of a regular expression: control characters, line and paragraph
# separators, and the characters that change the direction of writing. None of them belongs in a
# name or an address, and some make one text look like another.
CONTROL_CHARACTERS = r"\u0000-\u001F\u007F-\u009F\u2028-\u202E\u2066-\u2069"


def plain_text(max_length: int, min_length: int = 1) -> StringConstraints:
    """Constrain a text to one line without control characters: `Annotated[str, plain_text(100)]`.

    White space around it is removed. Unless `min_length` is zero, white space alone is refused.
    """
    text = rf"[^{CONTROL_CHARACTERS}]*"
    pattern = rf"^{text}[^{CONTROL_CHARACTERS}\s]{text}$" if min_length else rf"^{text}$"
    return StringConstraints(
        strip_whitespace=True, min_length=min_length, max_length=max_length, pattern=pattern
    )


def _country(code: str) -> str:
    if len(code) != 2 or not code.isupper() or pycountry.countries.get(alpha_2=code) is None:
        raise PydanticCustomError(
            "country",
            "'{code}' is not a country; give its ISO 3166-1 code of two capitals, such as DE",
            {"code": code},
        )
    return code


def _email(address: str) -> str:
    try:
        valid = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise PydanticCustomError(
            "email", "not an e-mail address: {reason}", {"reason": str(error)}
        ) from None
    return valid.ascii_email or address


def countries() -> list[tuple[str, str]]:
    """Return every country as (code, name), sorted by name."""
    names = (
        (each.alpha_2, getattr(each, "common_name", each.name)) for each in pycountry.countries
    )
    return sorted(names, key=lambda country: country[1])


Country = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[A-Z]{2}$",
            "description": "ISO 3166-1 alpha-2",
            "examples": ["DE"],
        }
    ),
]
Email = Annotated[
    str,
    Field(min_length=3, max_length=254),
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254}),
]
Sku = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Command(BaseModel):
    """Base of the commands and of their parts: strict, immutable, without unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Customer(Command):
    """The person who orders."""

    name: Annotated[str, plain_text(100)] = Field(examples=["Ada Example"])
    email: Email = Field(examples=["ada@example.org"])


class Item(Command):
    """A quantity of one product."""

    sku: Sku = Field(examples=["MUG-BLUE"])
    quantity: int = Field(ge=1, le=99, examples=[2])


class ShippingAddress(Command):
    """The destination of the parcel."""

    line1: Annotated[str, plain_text(100)] = Field(examples=["1 Test Street"])
    line2: Annotated[str, plain_text(100, min_length=0)] = Field(default="")
    city: Annotated[str, plain_text(60)] = Field(examples=["Berlin"])
    postcode: Annotated[str, plain_text(16)] = Field(examples=["10115"])
    country: Country = Field(examples=["DE"])

    def address(self) -> Address:
        """Return the address as events carry it."""
        return Address(**self.model_dump())


class PlaceOrder(Command):
    """A request to place an order. Prices come from the products; a command cannot set them."""

    customer: Customer
    items: list[Item] = Field(min_length=1, max_length=50)
    shipping_address: ShippingAddress
    payment_token: Token = Field(examples=["tok_ok"])
