"""The events that the bus itself publishes."""

from events.event import Event


class DeliveryDead(Event, type="delivery.dead", source="bus"):
    """No retry saved a delivery. `fingerprint` says where it failed, without the customer's data."""

    subscription: str
    queue: str
    event_id: str
    event_type: str
    attempts: int
    fingerprint: str
