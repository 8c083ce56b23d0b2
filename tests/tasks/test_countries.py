"""Countries and their postcodes."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.commands import PlaceOrder
from tasks.countries import countries, needs_postcode
from tests.tasks.builders import order_data


def to(country: str, postcode: str | None = None) -> dict[str, Any]:
    """Return an order to a country."""
    wanted = order_data()
    wanted["shipping_address"] |= {"country": country}
    del wanted["shipping_address"]["postcode"]
    if postcode is not None:
        wanted["shipping_address"]["postcode"] = postcode
    return wanted


@pytest.mark.parametrize("country", ["HK", "AE", "AO", "BS", "PA", "MO", "QA", "XK", "IE", "JM"])
@pytest.mark.parametrize("postcode", [None, "", " "])
def test_a_country_whose_post_works_without_postcodes_needs_none(
    country: str, postcode: str | None
) -> None:
    assert PlaceOrder.model_validate(to(country, postcode)).shipping_address.postcode == ""


@pytest.mark.parametrize("country", ["DE", "GB", "US", "JP", "NL", "BR"])
def test_an_address_without_the_postcode_that_its_country_needs_is_refused(country: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PlaceOrder.model_validate(to(country))

    [error] = refused.value.errors()
    assert error["loc"] == ("shipping_address", "postcode")
    assert error["msg"] == f"write the postcode: {country} has them"


def test_a_postcode_may_be_given_anywhere() -> None:
    assert PlaceOrder.model_validate(to("HK", "999077")).shipping_address.postcode == "999077"


def test_kosovo_can_be_chosen_and_every_country_has_an_answer() -> None:
    assert ("XK", "Kosovo") in countries()
    assert {needs_postcode(code) for code, _ in countries()} == {True, False}
