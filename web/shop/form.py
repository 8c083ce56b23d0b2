"""The order form: its fields as a `PlaceOrder` command, and its errors beside the fields."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from events.inputs import integer, reason_of
from tasks.commands import MAX_QUANTITY, PlaceOrder
from tasks.errors import OrderError
from web.filters import sentence

PAYMENT_METHODS = (
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
REPEATED = "Please fill this in once; it was sent twice."
MESSAGES = {
    "string_too_short": "Please fill this in.",
    "string_pattern_mismatch": "Please choose one.",
    "int_type": "Please give a whole number.",
    "country": "Please choose a country.",
    "postcode": "Please fill this in.",
    "email": "Please give one e-mail address, such as ada@example.org.",
}


@dataclass
class OrderForm:
    """The submitted values of the order form and their errors; "" has errors of no single field."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def quantities(self) -> list[tuple[str, str]]:
        """Return each sku whose quantity is neither empty nor 0, with that quantity."""
        submitted = [
            (name.removeprefix(QUANTITY), value.strip())
            for name, value in self.values.items()
            if name.startswith(QUANTITY)
        ]
        return [(sku, quantity) for sku, quantity in submitted if quantity not in ("", "0")]

    def command(self) -> PlaceOrder:
        """Return the form as a command. Raises pydantic's `ValidationError`."""
        value = self.values.get
        return PlaceOrder.model_validate(
            {
                "customer": {"name": value("name", ""), "email": value("email", "")},
                "items": [
                    {"sku": sku, "quantity": _number(quantity)}
                    for sku, quantity in self.quantities()
                ],
                "shipping_address": {
                    name: value(name, "")
                    for name in ("line1", "line2", "city", "postcode", "country")
                },
                "payment_token": value("payment_token", ""),
            }
        )

    def add_errors(self, error: ValidationError | OrderError) -> None:
        """Add the errors of a refused command, each to its field."""
        if isinstance(error, OrderError):
            self.add_error(error.field or "", sentence(str(error)))
            return
        for each in error.errors(include_url=False, include_input=False):
            self.add_error(
                ".".join(map(str, each["loc"])),
                _message(each["type"], reason_of(each), each.get("ctx", {}), each["loc"]),
            )

    def refuse_repeated(self, names: Iterable[str]) -> None:
        """Add an error to each field that was sent twice: which value is meant, nobody can tell."""
        for name in names:
            known = name in FIELDS.values() or name.startswith(QUANTITY)
            self.errors.setdefault(name if known else "", REPEATED)

    def add_error(self, path: str, message: str) -> None:
        """Add an error to the field of `path`, such as `items.0.quantity`, unless it has one."""
        name = FIELDS.get(path, "")
        if path.startswith("items."):
            quantities = self.quantities()
            index = int(path.split(".")[1])
            name = QUANTITY + quantities[index][0] if index < len(quantities) else "items"
        self.errors.setdefault(name, message)

    def move_errors_without_field(self, offered: Collection[str]) -> None:
        """Move the errors of products that the form does not offer to the list of products."""
        for name in list(self.errors):
            if name.startswith(QUANTITY) and name.removeprefix(QUANTITY) not in offered:
                self.errors.setdefault("items", self.errors.pop(name))


def _number(value: str) -> int | str:
    try:
        return integer(value)
    except ValueError:
        return value  # which is reported as no whole number


def _message(
    error_type: str, message: str, details: dict[str, Any], path: tuple[int | str, ...]
) -> str:
    if path == ("items",):
        return (
            f"Please choose up to {details['max_length']} products."
            if error_type == "too_long"
            else "Please choose at least one product."
        )
    if error_type == "plain_text":
        return f"Please use plain text on one line. {sentence(message.partition(': ')[2])}"
    if error_type == "string_too_long":
        return f"Please use at most {details['max_length']} characters."
    if error_type in ("less_than_equal", "greater_than_equal"):
        return f"Please order 1 to {MAX_QUANTITY} of it."
    return MESSAGES.get(error_type) or sentence(message)
