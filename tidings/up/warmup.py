"""The imports of all processes of `up`, made once in the supervisor before it forks."""

import gc

import billiard.heap
import billiard.popen_fork
import billiard.sharedctypes
import billiard.synchronize
import celery.app.control
import celery.app.events
import celery.app.log
import celery.apps.worker
import celery.concurrency.prefork
import celery.events.state
import celery.worker.autoscale
import celery.worker.consumer.delayed_delivery
import celery.worker.strategy
import kombu.matcher
import kombu.pidbox
import kombu.transport.redis
from sqlalchemy.orm import configure_mappers

import events.relay.loop
import events.transport
import tasks.celery
import tasks.countries
import tasks.money
import tidings.web_server
from events import database
from events.addresses import parse_database_url
from events.app_version import app_version
from events.catalog import Money
from events.dialects.prepared import compile_all
from events.settings import settings
from events.transport.bootsteps import LOCK_TIMEOUT
from tidings.up.allocator import fill_holes

# Each import above is used here, so that none is removed as unused.
MODULES = (
    billiard.heap,
    billiard.popen_fork,
    billiard.sharedctypes,
    billiard.synchronize,
    celery.app.control,
    celery.app.events,
    celery.app.log,
    celery.apps.worker,
    celery.concurrency.prefork,
    celery.events.state,
    celery.worker.autoscale,
    celery.worker.consumer.delayed_delivery,
    celery.worker.strategy,
    kombu.matcher,
    kombu.pidbox,
    kombu.transport.redis,
    tasks.celery,
    tasks.countries,
    tasks.money,
    events.relay.loop,
    events.transport,
    tidings.web_server,
)


def freeze() -> None:
    """Keep the memory of all imported objects shared with forks, as far as CPython can.

    It is exempt from garbage collection, and no fork puts an object of its own among them.
    """
    tasks.celery.app.finalize()
    configure_mappers()
    app_version()
    database.prepare()
    database.prepare(urgent=True)  # of the web
    database.prepare(lock_timeout=LOCK_TIMEOUT)  # of a worker's parent
    tasks.celery.app.backend  # noqa: B018 - it reads the entry points of all distributions
    compile_all(parse_database_url(settings().database_url).get_backend_name())
    # The data of a locale: 4 MB and a tenth of a second, of the web and of two workers.
    tasks.money.money_text(Money(amount=0, currency="EUR"))
    tasks.countries.countries()
    gc.collect()
    gc.freeze()
    fill_holes()
