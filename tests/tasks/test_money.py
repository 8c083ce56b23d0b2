"""Money as text."""

import pytest

from events.catalog import Money
from tasks.money import money_text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (2500, "EUR", "€25.00"),
        (5, "EUR", "€0.05"),
        (123456789, "EUR", "€1,234,567.89"),
        (-1250, "EUR", "-€12.50"),
        (2500, "USD", "US$25.00"),
        (2500, "JPY", "JP¥2,500"),
        (2500, "KWD", "KWD2.500"),
    ],
)
def test_money_is_written_with_its_currencys_sign_and_digits(
    amount: int, currency: str, text: str
) -> None:
    assert money_text(Money(amount=amount, currency=currency)).replace("\xa0", "") == text
