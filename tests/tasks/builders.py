"""Builders of orders, products and events."""

from typing import Any

from sqlalchemy.orm import Session

from events import transaction
from events.catalog import Address, Line, Money, OrderCancelled, OrderCreated
from tasks import orders, placing
from tasks.commands import PlaceOrder
from tasks.gateways import sandbox_switch
from tasks.inventory import add_stock
from tasks.orders import Order
from tasks.products import Product

PRICES = {"MUG": 1250, "TEE": 1750, "LAMP": 18900}
NAMES = {"MUG": "Blue mug", "TEE": "T-shirt M", "LAMP": "Brass desk lamp"}
BERLIN = Address(line1="1 Test Street", city="Berlin", postcode="10115", country="DE")


def lines(**quantities: int) -> tuple[Line, ...]:
    return tuple(
        Line(
            sku=sku,
            name=NAMES[sku],
            quantity=quantity,
            price=Money(amount=PRICES[sku], currency="EUR"),
        )
        for sku, quantity in quantities.items()
    )


def order_created(order_id: str = "o-1", token: str = "tok_ok", **quantities: int) -> OrderCreated:
    ordered = lines(**(quantities or {"MUG": 2}))
    return OrderCreated(
        order_id=order_id,
        number=f"ORD-{order_id}",
        customer="Ada Example",
        email="ada@example.org",
        lines=ordered,
        total=Money(
            amount=sum(line.price.amount * line.quantity for line in ordered), currency="EUR"
        ),
        shipping_address=BERLIN,
        payment_token=token,
    )


def order_cancelled(order_id: str = "o-1") -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id,
        number=f"ORD-{order_id}",
        email="ada@example.org",
        reason="changed my mind",
    )


def order_data(token: str = "tok_ok", **quantities: int) -> dict[str, Any]:
    return {
        "customer": {"name": "Ada Example", "email": "ada@example.org"},
        "items": [
            {"sku": sku, "quantity": quantity}
            for sku, quantity in (quantities or {"MUG": 2}).items()
        ],
        "shipping_address": {
            "line1": "1 Test Street",
            "city": "Berlin",
            "postcode": "10115",
            "country": "DE",
        },
        "payment_token": token,
    }


def place_order(token: str = "tok_ok", **quantities: int) -> PlaceOrder:
    return PlaceOrder.model_validate(order_data(token, **quantities))


def stocked(session: Session, **quantities: int) -> None:
    for sku, name in NAMES.items():
        if session.get(Product, sku) is None:
            session.add(
                Product(
                    sku=sku, name=name, description="", price_amount=PRICES[sku], currency="EUR"
                )
            )
    for sku, quantity in quantities.items():
        add_stock(session, sku, quantity)


def placed(token: str = "tok_ok", **quantities: int) -> Order:
    with transaction() as session:
        return placing.place(session, place_order(token, **quantities))


def found(order: Order) -> Order:
    with transaction() as session:
        return orders.find(session, order.id)


def cancelled(order: Order) -> Order:
    with transaction() as session:
        return orders.cancel(session, order.id, reason="changed my mind", who=None)


def switched(name: str, *, down: bool) -> None:
    with transaction() as session:
        sandbox_switch(session, name, down=down)
