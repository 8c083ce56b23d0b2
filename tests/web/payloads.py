"""Payloads, headers and row counts for tests of the web."""

import base64
from typing import Any

from sqlalchemy import func, select

from events import reading
from events.tables import LogEntry
from tasks.orders import Order
from web.idempotency import IdempotencyKey

OPS_AUTH = "ada:correct horse"
OPS = {"Authorization": "Basic " + base64.b64encode(OPS_AUTH.encode()).decode()}


def order_payload(**items: int) -> dict[str, Any]:
    """Build a valid order: `order_payload(MUG_BLUE=2)`."""
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


def payload_with(path: str, value: Any) -> dict[str, Any]:
    """Build a valid order whose field at `path`, such as `items.0.quantity`, is `value`."""
    order = order_payload()
    *way, last = path.split(".")
    place: Any = order
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[int(last) if last.isdigit() else last] = value
    return order


def bearer(accepted: dict[str, Any]) -> dict[str, str]:
    """Build the header with the order's token."""
    return {"Authorization": f"Bearer {accepted['token']}"}


def row_counts() -> dict[str, int]:
    """Count orders, events and idempotency keys."""
    with reading() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Order, LogEntry, IdempotencyKey)
        }


NO_ROWS = {"orders": 0, "events": 0, "idempotency_keys": 0}
