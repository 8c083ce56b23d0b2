"""The events that orders publishes: the decisions of its process manager."""

from events.catalog.values import Address, Line, Money, OrderEvent
from events.personal import PersonalEmail, PersonalName, PersonalText


class OrderConfirmed(OrderEvent, type="order.confirmed", source="orders"):
    """The stock is reserved and the card is charged."""

    number: str
    customer: PersonalName
    email: PersonalEmail
    lines: tuple[Line, ...]
    total: Money
    shipping_address: Address | None


class OrderCancelled(OrderEvent, type="order.cancelled", source="orders"):
    """The order will not be fulfilled; the services undo what they did for it."""

    number: str
    email: PersonalEmail
    reason: PersonalText


class ReservationExpired(OrderEvent, type="reservation.expired", source="orders"):
    """The order was not paid within so many minutes after its stock was reserved."""

    minutes: int


class PaymentOrphaned(OrderEvent, type="payment.orphaned", source="orders"):
    """A charge was reported for a cancelled order; it must be refunded."""

    charge_id: str


class ShipmentOrphaned(OrderEvent, type="shipment.orphaned", source="orders"):
    """A parcel was reported for a cancelled order; it must be recalled."""

    tracking: str
