"""The counters of the web, shared by the processes of one gunicorn: /metrics."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from shutil import rmtree
from time import perf_counter
from typing import Final

import psutil
from flask import Blueprint, Flask, Response, g, request
from flask.typing import ResponseReturnValue
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from events import reading
from events.admin import queues

bp = Blueprint("metrics", __name__)
DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"


@cache
def orders_accepted() -> Counter:
    """Return the counter of accepted orders."""
    return Counter("tidings_orders_accepted", "Orders that were accepted and saved", registry=None)


@cache
def latency() -> Histogram:
    """Return the histogram of the time that requests took."""
    return Histogram(
        "tidings_request_seconds",
        "Time to answer a request",
        ["endpoint", "method", "status"],
        registry=None,
    )


class LedgerCollector(Collector):
    """A collector that reads the ledger at each scrape, so that all web processes agree."""

    def collect(self) -> Iterator[Metric]:
        """Yield gauges of the open and dead deliveries by queue."""
        deliveries = GaugeMetricFamily(
            "tidings_deliveries", "Deliveries that are not handled", labels=["queue", "state"]
        )
        oldest = GaugeMetricFamily(
            "tidings_oldest_delivery_seconds", "Age of the oldest open delivery", labels=["queue"]
        )
        workers = GaugeMetricFamily("tidings_workers", "Workers that are alive", labels=["queue"])
        with reading() as session:
            for queue in queues.overview(session):
                for state in ("waiting", "retrying", "dead"):
                    deliveries.add_metric([queue.name, state], getattr(queue, state))
                oldest.add_metric([queue.name], queue.oldest or 0.0)
                workers.add_metric([queue.name], queue.workers)
            waiting = queues.unrelayed(session)
        unrelayed = GaugeMetricFamily(
            "tidings_unrelayed_events", "Events that the relay has not fanned out", value=waiting
        )
        yield from (deliveries, oldest, workers, unrelayed)

    def describe(self) -> Iterable[Metric]:
        """Describe nothing, because the registry would read the database for it."""
        return []


@bp.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Return the metrics for Prometheus."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    if os.environ.get(DIRECTORY):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(orders_accepted())
        registry.register(latency())
    return Response(generate_latest(registry), mimetype=CONTENT_TYPE_LATEST)


def start_timer() -> None:
    """Note when the request arrived."""
    g.started = perf_counter()


def observe_latency(response: Response) -> Response:
    """Record the latency by endpoint: by path, each order would be a series of its own."""
    if started := g.pop("started", None):
        method = request.method if request.endpoint else "any"  # clients can invent methods
        labels = (request.endpoint or "none", method, response.status_code)
        latency().labels(*labels).observe(perf_counter() - started)
    return response


def share_counters() -> None:
    """Let all workers of a gunicorn count together, in files of a folder that they share.

    The folder is that of PROMETHEUS_MULTIPROC_DIR, or one of the gunicorn's own.
    """
    given = os.environ.get(DIRECTORY)
    folder = Path(given) if given else _folder_of_gunicorn()
    if folder is None:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not given and folder.stat().st_uid != os.getuid():
        return  # somebody else made it
    os.environ[DIRECTORY] = str(folder)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


def _folder_of_gunicorn() -> Path | None:
    """Return a folder named after the gunicorn that this process is a worker of, if it is one."""
    if not os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        return None
    prefix = f"tidings-metrics-{os.getuid()}-"
    home, parent = Path(tempfile.gettempdir()), os.getppid()
    for old in home.glob(f"{prefix}*"):
        with suppress(ValueError):
            if not psutil.pid_exists(int(old.name.rsplit("-", 2)[-2])):
                rmtree(old, ignore_errors=True)
    return home / f"{prefix}{parent}-{psutil.Process(parent).create_time():.0f}"


def init_app(app: Flask) -> None:
    """Measure every request of `app`, and add the address of the metrics."""
    share_counters()
    orders_accepted(), latency()  # before the first request, so that none of them is missing
    app.before_request(start_timer)
    app.after_request(observe_latency)
    app.register_blueprint(bp)
