"""The bus: typed events, a log, a ledger of deliveries. Only `events.transport` knows Celery."""

from events.context import Context, acting, current, envelope, envelopes
from events.database import Database, reading, relaxed, transaction
from events.envelope import Actor, Envelope
from events.errors import DeadLetter, NotNow, RetryAfter, TidingsError, Unavailable
from events.event import Event, upcaster
from events.log import publish
from events.orm import Base, UTCDateTime, get_or_create_locked, insert_if_absent
from events.retry import Retry
from events.scheduled import cancel, reschedule
from events.schedules import schedule
from events.subscriptions import Subscription, subscribe, subscribe_batch

__all__ = [
    "Actor",
    "Base",
    "Context",
    "Database",
    "DeadLetter",
    "Envelope",
    "Event",
    "NotNow",
    "Retry",
    "RetryAfter",
    "Subscription",
    "TidingsError",
    "UTCDateTime",
    "Unavailable",
    "acting",
    "cancel",
    "current",
    "envelope",
    "envelopes",
    "get_or_create_locked",
    "insert_if_absent",
    "publish",
    "reading",
    "relaxed",
    "reschedule",
    "schedule",
    "subscribe",
    "subscribe_batch",
    "transaction",
    "upcaster",
]
