"""What a customer may ask for, and in what shape. A wish is checked here and nowhere else."""

from typing import Annotated, Any

import pycountry
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from events.catalog import Address

# Control characters, line and paragraph separators, and bidirectional controls: none of them belongs
# in a name or an address, and some make a text look like another.
CONTROL_CHARACTERS = r"\u0000-\u001F\u007F-\u009F\u2028-\u202E\u2066-\u2069"


def text_type(longest: int, *, shortest: int = 1) -> Any:
    """Constrain a string to one line of text, with a visible character if `shortest` is not 0."""
    pattern = (
        rf"^[^{CONTROL_CHARACTERS}]*[^{CONTROL_CHARACTERS}\s][^{CONTROL_CHARACTERS}]*$"
        if shortest
        else rf"^[^{CONTROL_CHARACTERS}]*$"
    )
    return StringConstraints(
        strip_whitespace=True, min_length=shortest, max_length=longest, pattern=pattern
    )


def _country(code: str) -> str:
    if len(code) != 2 or not code.isupper() or pycountry.countries.get(alpha_2=code) is None:
        raise PydanticCustomError(
            "country",
            "'{code}' is no country; give its ISO 3166-1 code of two capitals, such as DE",
            {"code": code},
        )
    return code


def _email(address: str) -> str:
    try:
        return (
            validate_email(address, check_deliverability=False, allow_smtputf8=False).ascii_email
            or address
        )
    except EmailNotValidError as error:
        raise PydanticCustomError(
            "email", "not an e-mail address: {why}", {"why": str(error)}
        ) from None


def countries() -> list[tuple[str, str]]:
    """All countries as (code, name), by name."""
    return sorted(
        ((each.alpha_2, getattr(each, "common_name", each.name)) for each in pycountry.countries),
        key=lambda pair: pair[1],
    )


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


class _Wish(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Customer(_Wish):
    """Who orders."""

    name: Annotated[str, text_type(100)] = Field(examples=["Ada Example"])
    email: Email = Field(examples=["ada@example.org"])


class Item(_Wish):
    """So many of one product."""

    sku: Sku = Field(examples=["MUG-BLUE"])
    quantity: int = Field(ge=1, le=99, examples=[2])


class ShippingAddress(_Wish):
    """Where the parcel goes."""

    line1: Annotated[str, text_type(100)] = Field(examples=["1 Test Street"])
    line2: Annotated[str, text_type(100, shortest=0)] = Field(default="")
    city: Annotated[str, text_type(60)] = Field(examples=["Berlin"])
    postcode: Annotated[str, text_type(16)] = Field(examples=["10115"])
    country: Country = Field(examples=["DE"])

    def address(self) -> Address:
        """The same as events carry it."""
        return Address(**self.model_dump())


class PlaceOrder(_Wish):
    """Please send me this. Prices are the catalogue's; a wish cannot name one."""

    customer: Customer
    items: list[Item] = Field(min_length=1, max_length=50)
    shipping_address: ShippingAddress
    payment_token: Token = Field(examples=["tok_ok"])
