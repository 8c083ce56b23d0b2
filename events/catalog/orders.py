"""What orders publishes: the decisions of its process manager."""

from events.catalog.values import Address, Line, Money, OrderEvent
from events.personal import PersonalEmail, PersonalName, PersonalText


class OrderConfirmed(OrderEvent, type="order.confirmed", source="orders"):
    """Stock is set aside and the money is in."""

    number: str
    customer: PersonalName
    email: PersonalEmail
    lines: tuple[Line, ...]
    total: Money
    shipping_address: Address | None


class OrderCancelled(OrderEvent, type="order.cancelled", source="orders"):
    """The order will not be fulfilled; who has acted undoes it."""

    number: str
    email: PersonalEmail
    reason: PersonalText


class PaymentOrphaned(OrderEvent, type="payment.orphaned", source="orders"):
    """A charge was reported for an order that is cancelled already; it must be given back."""

    charge_id: str


class ShipmentOrphaned(OrderEvent, type="shipment.orphaned", source="orders"):
    """A parcel was reported for an order that is cancelled already; it must be called back."""

    tracking: str
