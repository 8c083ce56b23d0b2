"""The events that the bus itself publishes."""

from events.event import Event


class DeliveryDead(Event, type="delivery.dead", source="bus"):
    """No retry saved a delivery. `fingerprint` is the place of the failure, without data."""

    subscription: str
    queue: str
    event_id: str
    event_type: str
    attempts: int
    fingerprint: str
