"""The order mix of demo and chaos."""

import random

import pytest

from tidings.order_mix import OUT_OF_STOCK, draw_kinds, draw_order

EUR, JPY = ({"amount": 1200, "currency": code} for code in ("EUR", "JPY"))
PRODUCTS = [
    {"sku": "MUG", "available": 200, "price": EUR},
    {"sku": "LAMP", "available": 3, "price": EUR},
]
WEIGHTS = {"tok_ok": 90, "tok_declined": 9, OUT_OF_STOCK: 1}


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_each_kind_is_drawn_at_least_once_if_there_is_room(count: int):
    kinds = draw_kinds(WEIGHTS, count, random.Random(1))

    assert len(kinds) == count
    assert len(set(kinds)) == min(count, len(WEIGHTS))


def test_the_same_seed_draws_the_same_order():
    first, second = (draw_order("tok_flaky", PRODUCTS, random.Random(7)) for _ in range(2))

    assert first == second
    assert first["payment_token"] == "tok_flaky"


def test_an_order_takes_well_stocked_products_and_the_scarcest_one_only_to_exceed_its_stock():
    rng = random.Random(1)
    for _ in range(20):
        items = draw_order("tok_ok", PRODUCTS, rng)["items"]
        assert {item["sku"] for item in items} == {"MUG"}

    order = draw_order(OUT_OF_STOCK, PRODUCTS, rng)
    assert order["items"][-1] == {"sku": "LAMP", "quantity": 99}
    assert order["payment_token"] == "tok_ok"


def test_an_order_is_in_one_currency():
    rng = random.Random(1)
    products = [*PRODUCTS, {"sku": "FAN", "available": 200, "price": JPY}]

    drawn = [
        {item["sku"] for item in draw_order(kind, products, rng)["items"]}
        for kind in ("tok_ok", OUT_OF_STOCK) * 20
    ]

    assert {"FAN"} in drawn
    assert {"MUG"} in drawn
    assert not [skus for skus in drawn if "FAN" in skus and len(skus) > 1]


def test_no_order_has_more_of_a_product_than_one_may_have():
    products = [{"sku": "FAN", "available": 200, "price": JPY}]

    assert draw_order(OUT_OF_STOCK, products, random.Random(1))["items"] == [
        {"sku": "FAN", "quantity": 99}
    ]
