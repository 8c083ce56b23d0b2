"""The transport: messages go to the broker and come from it to `dispatch` through Celery.

No other package imports Celery, except for the app in `tasks.celery`.
"""

from events.transport.broker_queues import queues
from events.transport.ordinary import all_queues
from events.transport.publisher import CeleryTransport
from events.transport.worker import configure_logging, install

__all__ = ["CeleryTransport", "all_queues", "configure_logging", "install", "queues"]
