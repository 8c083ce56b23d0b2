"""Products of several currencies in a browser: the form's total, and the operator's form."""

import pytest
from playwright.sync_api import Page, expect

from events import transaction
from tasks.products import Product
from tests.web.browser.conftest import Site

pytestmark = pytest.mark.browser


def _priced(sku: str, amount: int, currency: str) -> None:
    with transaction() as session:
        product = session.get_one(Product, sku)
        product.price_amount, product.currency = amount, currency


@pytest.mark.parametrize(
    ("amount", "currency", "total"),
    [(12345, "MGA", "MGA 246.90"), (12345, "IQD", "IQD 24.690"), (2500, "JPY", "JP¥5,000")],
)
def test_the_total_has_the_currency_and_the_digits_of_its_product(
    site: Site, tab: Page, amount: int, currency: str, total: str
):
    _priced("MUG-BLUE", amount, currency)
    tab.goto("/")
    tab.get_by_label("Blue mug").fill("2")

    expect(tab.locator("#total")).to_have_text(total)


def test_the_total_of_two_currencies_is_not_added_up(site: Site, tab: Page):
    _priced("MUG-BLUE", 2500, "JPY")
    tab.goto("/")
    tab.get_by_label("Blue mug").fill("1")
    tab.get_by_label("T-shirt M").fill("2")

    expect(tab.locator("#total")).to_have_text("JP¥2,500 + €35.00")


def test_an_operator_adds_a_product_and_a_customer_sees_it(site: Site, ops_tab: Page):
    ops_tab.goto("/ops/products")
    ops_tab.get_by_role("link", name="New product").click()
    ops_tab.get_by_label("Sku").fill("CUP")
    ops_tab.get_by_label("Name").fill("Tea cup")
    ops_tab.get_by_label("Price of one").fill("9.999")
    ops_tab.get_by_label("Stock").fill("3")
    ops_tab.get_by_label("Reason").fill("spring")
    ops_tab.get_by_role("button", name="Add product").click()
    expect(ops_tab.get_by_text("Write the amount in EUR in digits")).to_be_visible()
    ops_tab.get_by_label("Price of one").fill("9.99")
    ops_tab.get_by_role("button", name="Add product").click()
    expect(ops_tab.get_by_text("Tea cup is added.")).to_be_visible()

    ops_tab.goto("/")
    expect(ops_tab.get_by_text("€9.99")).to_be_visible()
    expect(ops_tab.get_by_label("Tea cup")).to_be_visible()
