"""What every process of `up` will need, imported once in the supervisor, before it forks them."""

import gc
import importlib

from sqlalchemy.orm import configure_mappers

# By name: the supervisor calls none of it, and `tasks` may not import `web`.
_MODULES = (
    "tasks.celery",
    "tasks.cli.relay",
    "tasks.cli.migrate",
    "web",
    "celery.__main__",
    "celery.bin.celery",
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.events.state",
    "celery.worker.autoscale",
    "celery.worker.strategy",
    "flower.command",
    "gunicorn.app.wsgiapp",
    "gunicorn.workers.gthread",
    "kombu.transport.redis",
)


def preload() -> None:
    """Import everything, and keep the garbage collector's hands off it: memory that nobody touches stays shared."""
    for name in _MODULES:
        importlib.import_module(name)
    configure_mappers()
    gc.collect()
    gc.freeze()
