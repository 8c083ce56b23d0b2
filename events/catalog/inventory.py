"""The events that inventory publishes."""

from events.catalog.values import Line, OrderEvent


class InventoryReserved(OrderEvent, type="inventory.reserved", source="inventory"):
    """Every line of the order is reserved."""

    lines: tuple[Line, ...]


class InventoryReservationFailed(
    OrderEvent, type="inventory.reservation_failed", source="inventory"
):
    """Nothing was reserved, because too little of `sku` is in stock."""

    sku: str


class InventoryReleased(OrderEvent, type="inventory.released", source="inventory"):
    """The reserved pieces are back in stock."""

    lines: tuple[Line, ...]
