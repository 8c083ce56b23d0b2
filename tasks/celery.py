"""The Celery app, with one task per subscription of the services in this package."""

import os
import sys
from typing import Any

import structlog
from celery import Celery
from celery.signals import worker_ready

from events import subscriptions, transport
from events.environment import exit_if_wrong, read_secret_files
from events.transport.flower_options import describe_tasks, protect_flower
from tasks import gateways
from tasks.flower_login import clean_flowers_variables, give_flower_its_logins, task_page

subscriptions.discover("tasks", skip={"celery"})
protect_flower()
describe_tasks(task_page)
if "flower" in sys.argv or os.environ.get("FLOWER_BASIC_AUTH_FILE"):
    exit_if_wrong()
    read_secret_files()
    clean_flowers_variables()
    give_flower_its_logins()  # Flower reads its own variables, soon after this

app = Celery("tasks")
app.config_from_object("celeryconfig")
transport.install(app, subscriptions.registered().values())
transport.configure_logging()


@worker_ready.connect
def _announce_sandbox(sender: Any, **_: Any) -> None:
    """Log that the gateways of a worker of payment or shipping are the sandbox's."""
    consumed = set(sender.app.amqp.queues.consume_from)
    if consumed & {"payment", "shipping"} and (pretended := gateways.pretended()):
        structlog.get_logger("tidings.gateways").warning("gateways.sandbox", pretended=pretended)
