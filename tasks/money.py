"""Money: the currencies, how many digits each has, and amounts as text for people.

The digits are ISO 4217's minor units, for amounts and for display alike: CLDR, by which Babel and
browsers format, shows RSD, IQD, LBP, MGA and others without the digits that an amount has.
"""

import re
from decimal import Decimal
from functools import cache, lru_cache
from typing import Annotated

import moneyed
import pycountry
from babel.numbers import NumberPattern, parse_pattern
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from events.catalog import Money

LOCALE = "en_GB"
# In minor units; a JSON number up to 2**53 is exact in every language.
MAX_AMOUNT = 10**15
_NEWER_THAN_MONEYED = {"XCG": 2, "ZWG": 2}  # py-moneyed 3.0 has ISO 4217 as of 2023
_MONEY_WITH_X = ("XAF", "XCD", "XCG", "XOF", "XPF")  # X is else a metal, a fund or a test


@cache
def digits(currency: str) -> int | None:
    """Return the number of the currency's minor digits; `None` if the code is no currency's."""
    if currency in _NEWER_THAN_MONEYED:
        return _NEWER_THAN_MONEYED[currency]
    if currency.startswith("X") and currency not in _MONEY_WITH_X:
        return None
    try:
        return len(str(moneyed.get_currency(currency).sub_unit)) - 1
    except moneyed.CurrencyDoesNotExist:
        return None


@cache
def currencies() -> list[tuple[str, str]]:
    """Return the currencies of today as (code, name), sorted by code."""
    found = ((each.alpha_3, each.name) for each in pycountry.currencies)
    return sorted((code, name) for code, name in found if digits(code) is not None)


def currency_code(code: str) -> str:
    """Return the code of a currency of today. Raises an error unless it is one."""
    if code not in dict(currencies()):
        raise PydanticCustomError(
            "currency",
            "'{code}' is not a currency; give its ISO 4217 code of three capitals, such as EUR",
            {"code": code},
        )
    return code


Currency = Annotated[
    str,
    AfterValidator(currency_code),
    WithJsonSchema(
        {"type": "string", "enum": [code for code, _ in currencies()], "description": "ISO 4217"}
    ),
]
# The price of one piece.
Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT, description="in the currency's minor units")]


def parse_amount(text: str, currency: str) -> int:
    """Return an amount such as `12.50` in minor units, with at most the currency's digits.

    Raises an error for what is no amount of `Amount`, and no currency.
    """
    fraction = digits(currency_code(currency)) or 0
    pattern = rf"[0-9]{{1,20}}(\.[0-9]{{1,{fraction}}})?" if fraction else r"[0-9]{1,20}"
    if not re.fullmatch(pattern, text.strip()):
        raise PydanticCustomError(
            "amount",
            "write the amount in {currency} in digits, such as {example}",
            {"currency": currency, "example": f"12.{'5'.ljust(fraction, '0')}" if fraction else 12},
        )
    amount = int(Decimal(text.strip()).scaleb(fraction))
    if not 1 <= amount <= MAX_AMOUNT:
        lowest, highest = (Money(amount=each, currency=currency) for each in (1, MAX_AMOUNT))
        raise PydanticCustomError(
            "amount",
            "write an amount from {lowest} to {highest}",
            {"lowest": money_text(lowest), "highest": money_text(highest)},
        )
    return amount


def plain_amount(money: Money) -> str:
    """Return the amount as `parse_amount` reads it: `12.50`."""
    fraction = digits(money.currency) or 0
    return f"{Decimal(money.amount).scaleb(-fraction):.{fraction}f}"


@cache
def _pattern(fraction: int) -> NumberPattern:
    return parse_pattern("¤#,##0" + ("." + "0" * fraction if fraction else ""))


@lru_cache(maxsize=4096)  # the three mails of an order format the same amounts: a tenth of a mail
def money_text(money: Money) -> str:
    """Format the amount with its currency's sign and digits: `€25.00`, `¥2,500`."""
    fraction = digits(money.currency)
    if fraction is None:
        return f"{money.amount} minor units of {money.currency}"
    amount = Decimal(money.amount).scaleb(-fraction)
    text: str = _pattern(fraction).apply(
        amount, LOCALE, currency=money.currency, currency_digits=False, decimal_quantization=False
    )
    return text
