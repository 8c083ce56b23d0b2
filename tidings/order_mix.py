"""Mixed orders for `tidings demo` and `tidings chaos`: each sandbox card, and empty shelves."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.commands import MAX_QUANTITY

OUT_OF_STOCK = "out of stock"
_NAMES = (
    "Ada Example",
    "Björn Beispiel",
    "Chiara Esempio",
    "Dilek Örnek",
    "Émile Exemple",
    "Fatima Mithal",
)
_CITIES = (
    ("Berlin", "10115", "DE"),
    ("Wien", "1010", "AT"),
    ("Paris", "75001", "FR"),
    ("Torino", "10121", "IT"),
    ("Dublin", "D02 X285", "IE"),
)
_WELL_STOCKED = 100  # units; fewer could run out during a run


def draw_kinds(weights: Mapping[str, int], count: int, rng: random.Random) -> list[str]:
    """Draw `count` kinds by their weights, each kind at least once if `count` allows it."""
    kinds = list(weights)[:count]
    kinds += rng.choices(list(weights), list(weights.values()), k=count - len(kinds))
    rng.shuffle(kinds)
    return kinds


def draw_order(kind: str, products: Sequence[dict[str, Any]], rng: random.Random) -> dict[str, Any]:
    """Return the body of a `POST /api/v1/orders`. `kind` is a card, `OUT_OF_STOCK` or any name."""
    city, postcode, country = rng.choice(_CITIES)
    return {
        # The address is unique, so that the orders of one customer can be counted.
        "customer": {
            "name": rng.choice(_NAMES),
            "email": f"{rng.getrandbits(64):016x}@customers.example",
        },
        "items": _draw_items(kind, products, rng),
        "shipping_address": {
            "line1": f"{rng.randint(1, 99)} Example Street",
            "city": city,
            "postcode": postcode,
            "country": country,
        },
        "payment_token": kind if kind.startswith("tok_") else "tok_ok",
    }


def _draw_items(
    kind: str, products: Sequence[dict[str, Any]], rng: random.Random
) -> list[dict[str, Any]]:
    priced = _of_one_currency(products, rng)
    plenty = [each["sku"] for each in priced if each["available"] >= _WELL_STOCKED]
    skus = plenty or [each["sku"] for each in priced]
    chosen = rng.sample(skus, k=min(rng.randint(1, 3), len(skus)))
    items = [{"sku": sku, "quantity": rng.randint(1, 3)} for sku in chosen]
    if kind == OUT_OF_STOCK:
        scarcest = min(priced, key=lambda each: int(each["available"]))
        items = [each for each in items if each["sku"] != scarcest["sku"]]
        items.append({"sku": scarcest["sku"], "quantity": MAX_QUANTITY})
    return items


def _of_one_currency(
    products: Sequence[dict[str, Any]], rng: random.Random
) -> Sequence[dict[str, Any]]:
    """Return the products whose prices have the currency of one of them, drawn at random."""
    currency = rng.choice(products)["price"]["currency"]
    return [each for each in products if each["price"]["currency"] == currency]
