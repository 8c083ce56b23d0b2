"""What tests ask the web: orders that would be accepted, and how to change one thing about them."""

import base64
from typing import Any

from sqlalchemy import func, select

from events import reading
from events.tables import LogEntry
from tasks.orders import Order
from web.idempotency import IdempotencyKey

OPS_AUTH = "ada:correct horse"
OPS = {"Authorization": "Basic " + base64.b64encode(OPS_AUTH.encode()).decode()}


def wish(**items: int) -> dict[str, Any]:
    """A good order: `wish(MUG_BLUE=2)`."""
    return {
        "customer": {"name": "Ada Example", "email": "ada@example.org"},
        "items": [
            {"sku": sku.replace("_", "-"), "quantity": quantity}
            for sku, quantity in (items or {"MUG_BLUE": 2}).items()
        ],
        "shipping_address": {
            "line1": "1 Test Street",
            "line2": "",
            "city": "Berlin",
            "postcode": "10115",
            "country": "DE",
        },
        "payment_token": "tok_ok",
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good order with the field at `path`, such as `items.0.quantity`, set to `value`."""
    order = wish()
    *way, last = path.split(".")
    place: Any = order
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[int(last) if last.isdigit() else last] = value
    return order


def bearer(accepted: dict[str, Any]) -> dict[str, str]:
    """The header that shows the order's token."""
    return {"Authorization": f"Bearer {accepted['token']}"}


def written() -> dict[str, int]:
    """How many orders, events and idempotency keys there are."""
    with reading() as session:
        return {
            kind.__tablename__: session.scalar(select(func.count()).select_from(kind)) or 0
            for kind in (Order, LogEntry, IdempotencyKey)
        }


NOTHING = {"orders": 0, "events": 0, "idempotency_keys": 0}
