"""The transport: the one package that touches Celery. Doorbells go out here, and come in to `dispatch` through here."""

from events.transport.publisher import CeleryTransport, queues
from events.transport.worker import install

__all__ = ["CeleryTransport", "install", "queues"]
