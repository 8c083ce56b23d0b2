"""The outside world as the services see it: who takes money, parcels and mails. Another gateway takes its place here."""

from tasks.gateways.payment import SandboxPayments
from tasks.gateways.ports import (
    Carrier,
    Charged,
    Declined,
    GatewayDown,
    GatewayError,
    Mailer,
    Parcel,
    PaymentGateway,
)
from tasks.gateways.sandbox import NAMES, is_down, sandbox_switch
from tasks.gateways.shipping import SandboxCarrier
from tasks.gateways.smtp import SmtpMailer

__all__ = [
    "NAMES",
    "Carrier",
    "Charged",
    "Declined",
    "GatewayDown",
    "GatewayError",
    "Mailer",
    "Parcel",
    "PaymentGateway",
    "carrier",
    "is_down",
    "mailer",
    "payments",
    "sandbox_switch",
]


def payments() -> PaymentGateway:
    """Who takes the customers' money."""
    return SandboxPayments()


def carrier() -> Carrier:
    """Who takes the parcels."""
    return SandboxCarrier()


def mailer() -> Mailer:
    """Who takes the mails."""
    return SmtpMailer()
