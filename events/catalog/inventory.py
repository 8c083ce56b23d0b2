"""What inventory publishes."""

from events.catalog.values import Line, OrderEvent


class InventoryReserved(OrderEvent, type="inventory.reserved", source="inventory"):
    """Every line of the order is set aside."""

    lines: tuple[Line, ...]


class InventoryReservationFailed(
    OrderEvent, type="inventory.reservation_failed", source="inventory"
):
    """Nothing was set aside, because of `sku`."""

    sku: str


class InventoryReleased(OrderEvent, type="inventory.released", source="inventory"):
    """What was set aside is back on the shelf."""

    lines: tuple[Line, ...]
