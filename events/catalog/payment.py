"""The events that payment publishes."""

from events.catalog.values import Money, OrderEvent


class PaymentCharged(OrderEvent, type="payment.charged", source="payment"):
    """The customer's card was charged."""

    charge_id: str
    total: Money


class PaymentFailed(OrderEvent, type="payment.failed", source="payment"):
    """The payment was declined; nothing was charged."""

    reason: str


class PaymentRefunded(OrderEvent, type="payment.refunded", source="payment"):
    """The whole charge was refunded."""

    charge_id: str
    total: Money
