"""The order form: from what was typed to a wish, and from what is wrong with a wish back to the fields."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from tasks.commands import PlaceOrder
from tasks.errors import OrderError

MOST = 99  # of one product
METHODS = (
    ("tok_ok", "Card that works"),
    ("tok_declined", "Card that is declined"),
    ("tok_flaky", "Card whose bank fails twice, then works"),
    ("tok_lost_answer", "Card that is charged, but the answer gets lost"),
    ("tok_broken", "Card whose bank never answers"),
)
FIELDS = {
    "customer.name": "name",
    "customer.email": "email",
    "shipping_address.line1": "line1",
    "shipping_address.line2": "line2",
    "shipping_address.city": "city",
    "shipping_address.postcode": "postcode",
    "shipping_address.country": "country",
    "payment_token": "payment_token",
    "items": "items",
}
QUANTITY = "quantity."
WORDS = {
    "string_too_short": "Please fill this in.",
    "string_pattern_mismatch": "Please use plain text on one line.",
    "int_type": "Please give a whole number.",
    "country": "Please choose a country.",
    "email": "Please give one e-mail address, such as ada@example.org.",
}


@dataclass
class Filled:
    """What was typed into the form, by field, and what is wrong with it; an error of no field is under ""."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def blame(self, path: str, message: str) -> None:
        """Put an error beside the field that `path`, such as `items.0.quantity`, was typed into; the first one counts."""
        name = FIELDS.get(path, "")
        if path.startswith("items."):
            chosen = self.chosen()
            index = int(path.split(".")[1])
            name = QUANTITY + chosen[index][0] if index < len(chosen) else "items"
        self.errors.setdefault(name, message)

    def gather(self, offered: Collection[str]) -> None:
        """Move errors about products that the form does not offer to the head of the products."""
        for name in [
            name
            for name in self.errors
            if name.startswith(QUANTITY) and name.removeprefix(QUANTITY) not in offered
        ]:
            self.errors.setdefault("items", self.errors.pop(name))

    def chosen(self) -> list[tuple[str, str]]:
        """The products that were given a quantity, with it."""
        typed = [
            (name.removeprefix(QUANTITY), value.strip())
            for name, value in self.values.items()
            if name.startswith(QUANTITY)
        ]
        return [(sku, quantity) for sku, quantity in typed if quantity not in ("", "0")]

    def wish(self) -> PlaceOrder:
        """The wish in the form. Raises pydantic's `ValidationError`."""
        typed = self.values.get
        return PlaceOrder.model_validate(
            {
                "customer": {"name": typed("name", ""), "email": typed("email", "").strip()},
                "items": [
                    {"sku": sku, "quantity": _number(quantity)} for sku, quantity in self.chosen()
                ],
                "shipping_address": {
                    name: typed(name, "")
                    for name in ("line1", "line2", "city", "postcode", "country")
                },
                "payment_token": typed("payment_token", ""),
            }
        )

    def refused(self, error: ValidationError | OrderError) -> None:
        """Say beside each field what is wrong with it."""
        if isinstance(error, OrderError):
            self.blame(error.field or "", _sentence(str(error)))
            return
        for each in error.errors(include_url=False, include_input=False):
            self.blame(
                ".".join(map(str, each["loc"])),
                _words(each["type"], each["msg"], each.get("ctx", {}), each["loc"]),
            )


def _number(typed: str) -> int | str:
    try:
        return int(typed)
    except ValueError:
        return typed


def _words(kind: str, message: str, details: dict[str, Any], path: tuple[int | str, ...]) -> str:
    if path == ("items",):
        return (
            f"Please choose up to {details['max_length']} products."
            if kind == "too_long"
            else "Please choose at least one product."
        )
    if kind == "string_too_long":
        return f"Please use at most {details['max_length']} characters."
    if kind in ("less_than_equal", "greater_than_equal"):
        return f"Please order 1 to {MOST} of it."
    return WORDS.get(kind) or _sentence(message)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
