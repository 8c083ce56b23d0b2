"""Money as people read it."""

from decimal import Decimal

import moneyed
from moneyed.l10n import format_money

from events.catalog import Money

LOCALE = "en_GB"


def money_text(money: Money) -> str:
    """The amount with its currency's sign and digits: `€25.00`, `¥2,500`."""
    currency = moneyed.get_currency(money.currency)
    return format_money(
        moneyed.Money(Decimal(money.amount) / currency.sub_unit, currency), locale=LOCALE
    )
