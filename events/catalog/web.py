"""The events that the web publishes."""

from decimal import ROUND_HALF_EVEN, Decimal

from events.catalog.values import Address, Line, Money, OrderEvent
from events.event import upcaster
from events.personal import PersonalEmail, PersonalName, PersonalText


class OrderCreatedV1(OrderEvent, type="order.created", version=1, source="web"):
    """The first version: a total without currency, in US dollars, and no address."""

    number: str
    customer: PersonalName
    email: PersonalEmail
    lines: tuple[Line, ...]
    total: Decimal
    payment_token: PersonalText


class OrderCreated(OrderEvent, type="order.created", version=2, source="web"):
    """An order was accepted and saved. The token stands for the card; no event has card data."""

    number: str
    customer: PersonalName
    email: PersonalEmail
    lines: tuple[Line, ...]
    total: Money
    shipping_address: Address | None
    payment_token: PersonalText


@upcaster(OrderCreatedV1, OrderCreated)
def with_currency_and_address(old: OrderCreatedV1) -> OrderCreated:
    """Convert the total to cents in USD and leave the address unknown."""
    kept = old.model_dump(exclude={"total"})
    cents = (old.total * 100).to_integral_value(ROUND_HALF_EVEN)
    return OrderCreated(
        **kept, total=Money(amount=int(cents), currency="USD"), shipping_address=None
    )
