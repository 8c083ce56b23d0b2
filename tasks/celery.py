"""The Celery app, with one task per subscription of the services in this package."""

from celery import Celery

from events import subscriptions, transport

subscriptions.discover("tasks", skip={"celery"})

app = Celery("tasks")
app.config_from_object("celeryconfig")
transport.install(app, subscriptions.registered().values())
