"""Money as text for people."""

from decimal import Decimal

import moneyed
from moneyed.l10n import format_money

from events.catalog import Money

LOCALE = "en_GB"


def money_text(money: Money) -> str:
    """Format the amount with its currency's sign and digits: `€25.00`, `¥2,500`."""
    currency = moneyed.get_currency(money.currency)
    amount = Decimal(money.amount) / currency.sub_unit
    return format_money(moneyed.Money(amount, currency), locale=LOCALE)
