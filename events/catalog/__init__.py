"""The event catalog, the contract between the services: one file per publisher."""

from events.catalog.inventory import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
)
from events.catalog.orders import (
    OrderCancelled,
    OrderConfirmed,
    PaymentOrphaned,
    ReservationExpired,
    ShipmentOrphaned,
)
from events.catalog.payment import PaymentCharged, PaymentFailed, PaymentRefunded
from events.catalog.shipping import OrderShipped, ShipmentRecalled
from events.catalog.values import Address, Line, Money, OrderEvent
from events.catalog.web import OrderCreated, OrderCreatedV1
from events.system_events import (
    AlertEvent,
    AlertRaised,
    AlertResolved,
    BreakerClosed,
    BreakerOpened,
    DeliveryDead,
)

__all__ = [
    "Address",
    "AlertEvent",
    "AlertRaised",
    "AlertResolved",
    "BreakerClosed",
    "BreakerOpened",
    "DeliveryDead",
    "InventoryReleased",
    "InventoryReservationFailed",
    "InventoryReserved",
    "Line",
    "Money",
    "OrderCancelled",
    "OrderConfirmed",
    "OrderCreated",
    "OrderCreatedV1",
    "OrderEvent",
    "OrderShipped",
    "PaymentCharged",
    "PaymentFailed",
    "PaymentOrphaned",
    "PaymentRefunded",
    "ReservationExpired",
    "ShipmentOrphaned",
    "ShipmentRecalled",
]
