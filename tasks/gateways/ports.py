"""The protocols of the gateways, their answers and errors.

Each request has a key that is the same in every attempt, so that a gateway acts once per key.

TidingsError
├── GatewayError     the gateway failed at this request; the retry policy applies
└── GatewayDown      the gateway is unreachable: a `RetryAfter` and a `ConnectionError`
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol

from events import Retry, RetryAfter, TidingsError
from events.catalog import Address, Line, Money

# A request that fails by itself becomes a dead letter after about 20 s (half of 1 + 2 + 4 + four
# times 8), in an outage after about 70 s.
RETRY_POLICY = Retry(attempts=8, first=1.0, cap=8.0)
OUTAGE_RETRY_DELAY = (5.0, 15.0)  # seconds


class GatewayError(TidingsError):
    """The gateway failed at this request."""


class GatewayDown(RetryAfter, ConnectionError):
    """The gateway is unreachable. Deliveries are retried after a random delay, not all at once."""

    def __init__(self, reason: str) -> None:
        delay = random.uniform(*OUTAGE_RETRY_DELAY)  # noqa: S311  it spreads load, it is no secret
        super().__init__(delay, reason)


@dataclass(frozen=True)
class Charged:
    """The answer that the card was charged."""

    charge_id: str


@dataclass(frozen=True)
class Declined:
    """The answer that the card was declined; a retry would not change it."""

    reason: str


@dataclass(frozen=True)
class Parcel:
    """The parcel that the carrier accepted."""

    carrier: str
    tracking: str


class PaymentGateway(Protocol):
    """A service that charges cards and refunds charges."""

    def charge(self, key: str, *, total: Money, token: str) -> Charged | Declined:
        """Charge `total` to the card that `token` stands for, once per key."""
        ...

    def close(self, key: str) -> Charged | None:
        """Return the charge of this key; if there is none, close the key: it can charge nothing.

        A query would not be enough, because the request that it looks for may still be in progress.
        With a gateway without such a call, cancel the uncaptured payment instead.
        """
        ...

    def refund(self, key: str, *, charge_id: str) -> str:
        """Refund a whole charge, once whatever the key; return the refund's id."""
        ...


class Carrier(Protocol):
    """A service that delivers parcels and brings them back."""

    def hand_over(self, key: str, *, address: Address, lines: Sequence[Line]) -> Parcel:
        """Hand over one parcel per key."""
        ...

    def close(self, key: str) -> Parcel | None:
        """Return the parcel of this key; if there is none, close the key: it can hand over none."""
        ...

    def recall(self, key: str, *, tracking: str) -> None:
        """Have a parcel brought back; a repeated call changes nothing."""
        ...


class Mailer(Protocol):
    """A service that sends mails."""

    def send(self, message: EmailMessage) -> None:
        """Send the mail. It may be sent twice, after an answer of the mail server was lost."""
        ...
