"""The counters of the web, shared by the workers of one `tidings web`: /metrics."""

import os
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Final

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
from prometheus_client.multiprocess import MultiProcessCollector

from web.ledger_metrics import LedgerCollector
from web.security import demand_login, ops_user
from web.settings import settings

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


@bp.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Return the metrics for Prometheus, to operators only if `METRICS_ACCESS` says so."""
    if settings().metrics_access == "login" and ops_user() is None:
        demand_login()
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    if os.environ.get(DIRECTORY):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(orders_accepted())
        registry.register(latency())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


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
    """Let all workers count together, in files of the folder that PROMETHEUS_MULTIPROC_DIR names.

    `tidings web` names one of its own if it has several workers.
    """
    if folder := os.environ.get(DIRECTORY):
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


def init_app(app: Flask) -> None:
    """Measure every request of `app`, and add the address of the metrics."""
    share_counters()
    orders_accepted(), latency()  # before the first request, so that none of them is missing
    app.before_request(start_timer)
    app.after_request(observe_latency)
    app.register_blueprint(bp)
