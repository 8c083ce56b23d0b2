"""The Celery app, with one task per subscription of the services in this package."""

import os

from celery import Celery

from events import subscriptions, transport
from events.environment import exit_if_wrong, read_secret_files
from events.transport.flower_options import protect_flower

subscriptions.discover("tasks", skip={"celery"})
protect_flower()
if os.environ.get("FLOWER_BASIC_AUTH_FILE"):  # Flower reads its own variables, soon after this
    exit_if_wrong()
    read_secret_files()

app = Celery("tasks")
app.config_from_object("celeryconfig")
transport.install(app, subscriptions.registered().values())
transport.configure_logging()
