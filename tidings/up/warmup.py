"""The imports of all processes of `up`, made once in the supervisor before it forks."""

import gc

import celery.__main__
import celery.apps.worker
import celery.bin.celery
import celery.concurrency.prefork
import celery.events.state
import celery.worker.autoscale
import celery.worker.strategy
import flower.command
import kombu.transport.redis
from sqlalchemy.orm import configure_mappers

import events.relay.loop
import events.transport
import tasks.celery
import tidings.migrations.run
import tidings.web_server

# Each import above is used here, so that none is removed as unused.
MODULES = (
    celery.__main__,
    celery.apps.worker,
    celery.bin.celery,
    celery.concurrency.prefork,
    celery.events.state,
    celery.worker.autoscale,
    celery.worker.strategy,
    flower.command,
    kombu.transport.redis,
    tasks.celery,
    events.relay.loop,
    events.transport,
    tidings.migrations.run,
    tidings.web_server,
)


def freeze() -> None:
    """Exempt all imported objects from garbage collection, so that forks share their memory."""
    configure_mappers()
    gc.collect()
    gc.freeze()
