"""The transport: the one package that touches Celery. Doorbells go out here, and come in to `dispatch` through here."""

from events.transport.inward import install
from events.transport.outward import CeleryTransport, queues

__all__ = ["CeleryTransport", "install", "queues"]
