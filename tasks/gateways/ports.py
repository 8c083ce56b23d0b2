"""The protocols of the gateways, their answers and errors.

Each request has a key that is the same in every attempt, so that a gateway acts once per key.

The answer of a gateway belongs to one of four classes. A success or a business no is returned.
`DeadLetter` is a refusal for good. `GatewayDown`, `GatewayBusy` and `RetryAfter` mean "not now":
they are retried for the policy's `give_up_after`. Any other error is unknown: the policy's
`attempts` limit it.

TidingsError
├── GatewayError          the gateway failed at this request; the outcome is unknown
│   └── GatewayUnanswered a proxy before the gateway got no answer from it
└── NotNow
    ├── GatewayDown       the gateway is unreachable: also a `ConnectionError`
    ├── GatewayBusy       the gateway answers that it takes nothing now
    ├── RetryAfter
    │   └── BusyUntil     the same, and when to come back
    └── MailDeferred      the mail server cannot take this one mail now

`Unavailable` are those that concern every request, which the circuit breaker counts:
`GatewayUnanswered`, `GatewayDown`, `GatewayBusy` and `BusyUntil`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from events import NotNow, Retry, RetryAfter, TidingsError, Unavailable
from events.catalog import Address, Line, Money
from events.retry import DAY

# A request that fails by itself becomes a dead letter after about 20 s (half of 1 + 2 + 4 + four
# times 8); one that a provider cannot take is retried for a day, at the end every five to ten
# minutes.
RETRY_POLICY = Retry(attempts=8, first=1.0, cap=8.0, give_up_after=DAY, not_now_cap=600.0)
# RFC 5321, 4.5.4.1: a mail is retried for four or five days, at the end every half hour or less
# often. Greylisting refuses the first attempts of some five minutes. A mail takes no key: one that
# the server may have taken is sent `attempts` times at most.
MAIL_RETRY_POLICY = Retry(
    attempts=10, first=1.0, cap=120.0, give_up_after=5 * DAY, not_now_cap=3600.0
)

# A chat tool or an on-call service that is away comes back within a day, or somebody notices.
WEBHOOK_RETRY_POLICY = Retry(
    attempts=10, first=5.0, cap=1800.0, give_up_after=DAY, not_now_cap=900.0
)


class GatewayError(TidingsError):
    """The gateway failed at this request."""


class GatewayUnanswered(GatewayError, Unavailable):
    """A proxy before the gateway got no answer from it."""


class GatewayDown(NotNow, Unavailable, ConnectionError):
    """The gateway is unreachable."""


class GatewayBusy(NotNow, Unavailable):
    """The gateway answers that it takes nothing now."""


class BusyUntil(RetryAfter, Unavailable):
    """The gateway answers that it takes nothing now, and when to come back."""


class MailDeferred(NotNow):
    """The mail server cannot take this one mail now."""


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


@dataclass(frozen=True)
class MailMessage:
    """A mail that is ready to be sent; `content` is the whole of it, with CRLF (RFC 5322)."""

    message_id: str
    sender: str
    recipient: str
    content: str


@dataclass(frozen=True)
class ChargeRecord:
    """A charge in the books of the gateway."""

    key: str
    charge_id: str
    total: Money
    at: datetime
    refunded: bool


@dataclass(frozen=True)
class ParcelRecord:
    """A parcel in the books of the carrier."""

    key: str
    tracking: str
    at: datetime
    recalled: bool


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

    def charges(self, since: datetime) -> Sequence[ChargeRecord]:
        """Return the charges that were made or refunded since then, oldest first.

        They are compared with the log after a restore.
        """
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

    def parcels(self, since: datetime) -> Sequence[ParcelRecord]:
        """Return the parcels that were handed over or recalled since then, oldest first."""
        ...


class Mailer(Protocol):
    """A service that sends mails."""

    def send(self, message: MailMessage) -> None:
        """Send the mail. It may be sent twice, after an answer of the mail server was lost."""
        ...

    def send_all(self, messages: Sequence[MailMessage]) -> Sequence[Exception | None]:
        """Send mails; return for each of them `None`, or the error of `send`."""
        ...


class Webhook(Protocol):
    """A receiver of signed messages over HTTP."""

    def post(self, message_id: str, body: bytes) -> None:
        """Send the message, a JSON object. It may be sent twice, under the same id."""
        ...
