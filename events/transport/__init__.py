"""The transport: messages go to the broker and come from it to `dispatch` through Celery.

No other package imports Celery, except for the app in `tasks.celery`.
"""

from events.transport.publisher import CeleryTransport, queues
from events.transport.worker import install

__all__ = ["CeleryTransport", "install", "queues"]
