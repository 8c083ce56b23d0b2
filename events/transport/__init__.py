"""The transport: messages go to the broker and come from it to `dispatch` through Celery.

No other package imports Celery, except for the app in `tasks.celery`.
"""

from events.transport.broker_queues import queues
from events.transport.on_commit import apply_on_commit, delay_on_commit
from events.transport.ordinary import all_queues
from events.transport.publisher import CeleryTransport
from events.transport.worker import configure_logging, install

__all__ = [
    "CeleryTransport",
    "all_queues",
    "apply_on_commit",
    "configure_logging",
    "delay_on_commit",
    "install",
    "queues",
]
