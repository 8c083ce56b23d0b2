"""The bus: typed events, a log, a ledger of deliveries. It knows no shop, no Flask, and Celery in one module only."""

from events.context import Context, acting, current, envelope
from events.database import Database, reading, transaction
from events.envelope import Actor, Envelope
from events.errors import DeadLetter, RetryAfter, TidingsError
from events.event import Event, upcaster
from events.log import publish
from events.retry import Retry
from events.subscriptions import Subscription, subscribe
from events.tables import Base, Moment

__all__ = [
    "Actor",
    "Base",
    "Context",
    "Database",
    "DeadLetter",
    "Envelope",
    "Event",
    "Moment",
    "Retry",
    "RetryAfter",
    "Subscription",
    "TidingsError",
    "acting",
    "current",
    "envelope",
    "publish",
    "reading",
    "subscribe",
    "transaction",
    "upcaster",
]
