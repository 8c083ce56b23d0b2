"""The Celery app: one task per subscription of every service in this folder."""

from celery import Celery

from events import subscriptions, transport

subscriptions.discover("tasks", skip={"celery"})

app = Celery("tasks")
app.config_from_object("celeryconfig")
transport.install(app, subscriptions.registered().values())
