"""Celery's settings of the shop: its queues and its log; the others are the bus's defaults."""

from events.addresses import is_amqp
from events.environment import exit_if_wrong
from events.settings import settings
from events.subscriptions import registered
from events.transport import queues

exit_if_wrong()  # for the commands of Celery and Flower; those of `tidings` have looked before

# A mistyped queue is an error. The queues of ordinary tasks are listed beside those of the
# subscriptions; all else is set by `events.transport.celery_defaults`.
_queues_of_ordinary_tasks = ("celery",)  # the default of `delay`
task_default_queue = _queues_of_ordinary_tasks[0]
task_create_missing_queues = False
task_queues = queues(
    (*(each.queue for each in registered().values()), *_queues_of_ordinary_tasks),
    quorum=is_amqp(settings().broker_url),
)

worker_hijack_root_logger = False
worker_redirect_stdouts = False
