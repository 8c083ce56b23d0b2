"""What the services ask of the outside world, and what it may answer.

Each wish comes with a key that is the same whenever it is made again, so that a gateway can do it once.

TidingsError
├── GatewayError     the gateway failed at this wish; it is tried again as the subscription's policy says
└── GatewayDown      the gateway does not answer anybody (a `RetryAfter` and a `ConnectionError`): patience
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol

from events import Retry, RetryAfter, TidingsError
from events.catalog import Address, Line, Money

# A wish that fails by itself is dead after about 20 s (half of 1 + 2 + 4 + four times 8); an outage is waited for, 70 s or so.
PATIENCE = Retry(attempts=8, first=1.0, cap=8.0)
OUTAGE = (5.0, 15.0)


class GatewayError(TidingsError):
    """The gateway failed at this wish."""


class GatewayDown(RetryAfter, ConnectionError):
    """The gateway answers nobody. Asked again after some seconds, each delivery after others, not all at once."""

    def __init__(self, why: str) -> None:
        super().__init__(random.uniform(*OUTAGE), why)  # noqa: S311  it spreads load, it keeps no secret


@dataclass(frozen=True)
class Charged:
    """The money is in."""

    charge_id: str


@dataclass(frozen=True)
class Declined:
    """A business no: asking again would change nothing."""

    reason: str


@dataclass(frozen=True)
class Parcel:
    """What the carrier took."""

    carrier: str
    tracking: str


class PaymentGateway(Protocol):
    """Takes money and gives it back."""

    def charge(self, key: str, *, total: Money, token: str) -> Charged | Declined:
        """Take `total` from the card that `token` stands for, once per key."""
        ...

    def close(self, key: str) -> Charged | None:
        """What was taken with this key, if anything; if nothing was, nothing can be taken with it any more.

        A mere look would not do: the wish that it looks for may be under way. Where a gateway has no such call, its way to cancel
        what has not been captured yet is one.
        """
        ...

    def refund(self, key: str, *, charge_id: str) -> str:
        """Give a whole charge back, once whatever the key, and return the refund's id."""
        ...


class Carrier(Protocol):
    """Takes parcels and brings them back."""

    def hand_over(self, key: str, *, address: Address, lines: Sequence[Line]) -> Parcel:
        """Give the carrier one parcel per key."""
        ...

    def close(self, key: str) -> Parcel | None:
        """The parcel that was given with this key, if any; if none was, none can be given with it any more."""
        ...

    def call_back(self, key: str, *, tracking: str) -> None:
        """Have a parcel brought back; a second call changes nothing."""
        ...


class Mailer(Protocol):
    """Takes mails."""

    def send(self, message: EmailMessage) -> None:
        """Hand the mail to the mail server. A mail cannot be taken back: after a lost answer it may go out twice."""
        ...
