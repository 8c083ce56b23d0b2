"""The gateways to the world outside.

To use another payment provider, carrier or mail server, return its gateway here; `outside` keeps a
dry run from calling it.
"""

from events.dry_runs.outside import outside
from tasks.gateways import examples
from tasks.gateways.payment import SandboxPayments
from tasks.gateways.ports import (
    Carrier,
    Charged,
    Declined,
    GatewayBusy,
    GatewayDown,
    GatewayError,
    Mailer,
    Parcel,
    PaymentGateway,
    Webhook,
)
from tasks.gateways.sandbox import MAX_RETRY_AFTER, NAMES, is_down, sandbox_state, sandbox_switch
from tasks.gateways.shipping import SandboxCarrier
from tasks.gateways.smtp import SmtpMailer
from tasks.gateways.webhook import HttpWebhook

__all__ = [
    "MAX_RETRY_AFTER",
    "NAMES",
    "Carrier",
    "Charged",
    "Declined",
    "GatewayBusy",
    "GatewayDown",
    "GatewayError",
    "Mailer",
    "Parcel",
    "PaymentGateway",
    "Webhook",
    "carrier",
    "is_down",
    "mailer",
    "payments",
    "pretended",
    "sandbox_state",
    "sandbox_switch",
    "webhook",
]


def payments() -> PaymentGateway:
    """Return the payment gateway."""
    return outside("payments", SandboxPayments(), examples.PAYMENTS)


def carrier() -> Carrier:
    """Return the carrier."""
    return outside("carrier", SandboxCarrier(), examples.CARRIER)


def mailer() -> Mailer:
    """Return the mailer."""
    return outside("mailer", SmtpMailer(), examples.MAILER)


def webhook() -> Webhook:
    """Return the webhook of the alerts."""
    return outside("webhook", HttpWebhook(), examples.WEBHOOK)


def pretended() -> list[str]:
    """Return what does not happen because the gateway for it is the sandbox's."""
    found = []
    if isinstance(payments(), SandboxPayments):
        found.append("no card is charged")
    if isinstance(carrier(), SandboxCarrier):
        found.append("no parcel is sent")
    return found
