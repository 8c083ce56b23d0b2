"""The value types of the events."""

from pydantic import BaseModel, ConfigDict

from events.event import Event
from events.personal import PersonalName, PersonalText


class Money(BaseModel):
    """An amount in the currency's minor units (cents), with the currency's ISO 4217 code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise ValueError(
                f"{self.currency} and {other.currency} cannot be added; convert one of them first"
            )
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def __mul__(self, times: int) -> "Money":
        return Money(amount=self.amount * times, currency=self.currency)


class Address(BaseModel):
    """The destination of a parcel. `country` is an ISO 3166-1 alpha-2 code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line1: PersonalName
    line2: PersonalText = ""
    city: PersonalText
    postcode: PersonalText
    country: str


class Line(BaseModel):
    """A quantity of one product. `price` is the price of one piece."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: str
    name: str
    quantity: int
    price: Money


class OrderEvent(Event):
    """Base of the events about an order. `order_id` is the order's public id."""

    order_id: str
