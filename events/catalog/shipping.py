"""The events that shipping publishes."""

from events.catalog.values import OrderEvent


class OrderShipped(OrderEvent, type="order.shipped", source="shipping"):
    """The carrier has the parcel."""

    carrier: str
    tracking: str


class ShipmentRecalled(OrderEvent, type="shipment.recalled", source="shipping"):
    """The carrier brings the parcel of a cancelled order back."""

    tracking: str
