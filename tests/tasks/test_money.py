"""Money as text."""

import pytest
from pydantic import ValidationError

from events.catalog import Money
from tasks.assortment import Price
from tasks.money import MAX_AMOUNT, currencies, digits, money_text, parse_amount, plain_amount


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


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123456, "RSD", "RSD1,234.56"),
        (12345, "ALL", "ALL123.45"),
        (12345, "AFN", "AFN123.45"),
        (12345, "IQD", "IQD12.345"),
        (12345, "IRR", "IRR123.45"),
        (12345, "LBP", "LBP123.45"),
        (12345, "MGA", "MGA123.45"),
        (12345, "MMK", "MMK123.45"),
        (12345, "CLF", "CLF1.2345"),
        (12345, "UGX", "UGX12,345"),
        (12345, "XCG", "Cg.123.45"),
        (10**15 + 1, "EUR", "€10,000,000,000,000.01"),
    ],
)
def test_an_amount_has_the_digits_of_iso_4217_wherever_it_is_shown(
    amount: int, currency: str, text: str
) -> None:
    assert money_text(Money(amount=amount, currency=currency)).replace("\xa0", "") == text


ISO_4217 = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


def test_the_digits_of_every_currency_are_those_of_the_standard() -> None:
    listed = {code: count for count, codes in ISO_4217.items() for code in codes.split()}

    assert {code: digits(code) for code, _ in currencies()} == {
        code: listed.get(code, 2) for code, _ in currencies()
    }
    assert set(listed) <= dict(currencies()).keys()


@pytest.mark.parametrize("code", ["XAU", "XPT", "XTS", "XDR", "ZZZ", "eur", "", "EURO"])
def test_a_metal_a_test_and_an_unknown_code_are_no_currency(code: str) -> None:
    with pytest.raises(ValidationError, match="ISO 4217"):
        Price(amount=1, currency=code)


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("12.50", "EUR", 1250),
        ("12", "EUR", 1200),
        ("12.5", "EUR", 1250),
        ("1200", "JPY", 1200),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12345),
        (" 0.01 ", "MGA", 1),
    ],
)
def test_a_typed_amount_is_read_in_the_currencys_digits(
    text: str, currency: str, amount: int
) -> None:
    assert parse_amount(text, currency) == amount
    assert parse_amount(plain_amount(Money(amount=amount, currency=currency)), currency) == amount


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1_0", "EUR"),
        ("\uff11\uff12", "EUR"),
        ("12.505", "EUR"),
        ("12.5", "JPY"),
        ("1e3", "EUR"),
        ("-1", "EUR"),
        ("1,50", "EUR"),
        ("", "EUR"),
        ("9" * 21, "EUR"),
        ("NaN", "EUR"),
    ],
)
def test_an_amount_that_is_written_otherwise_is_refused(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match=f"write the amount in {currency} in digits"):
        parse_amount(text, currency)


@pytest.mark.parametrize(
    ("text", "currency", "limits"),
    [
        ("0", "EUR", "€0.01 to €10,000,000,000,000.00"),
        ("10000000000000.01", "EUR", "€0.01 to €10,000,000,000,000.00"),
        ("0", "JPY", "JP¥1 to JP¥1,000,000,000,000,000"),
    ],
)
def test_an_amount_beyond_the_limits_is_refused_with_them_as_amounts_are_typed(
    text: str, currency: str, limits: str
) -> None:
    with pytest.raises(ValueError, match=f"^write an amount from {limits}$"):
        parse_amount(text, currency)
    assert parse_amount("10000000000000", "EUR") == MAX_AMOUNT


@pytest.mark.parametrize("currency", ["eur", "EURO", "€", "", "HRK", "XAU"])
def test_of_an_amount_in_no_currency_the_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match=f"'{currency}' is not a currency; give its ISO 4217"):
        parse_amount("9.90", currency)
