"""Is it alive, is it ready, and how is it doing: /livez, /readyz, /metrics."""

import os
import socket
from collections.abc import Iterable, Iterator
from time import perf_counter

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from events import heartbeat, reading
from events.admin import queues
from events.db_errors import describe_error, unavailable_reason

log = structlog.get_logger()
bp = Blueprint("health", __name__)
_BEAT = "tidings-last-beat"
ORDERS = Counter(
    "tidings_orders_accepted", "Orders that were accepted and saved by this process", registry=None
)
LATENCY = Histogram(
    "tidings_request_seconds",
    "Time to answer a request",
    ["endpoint", "method", "status"],
    registry=None,
)


@bp.get("/livez")
def livez() -> ResponseReturnValue:
    """Whether this process answers."""
    return {"status": "alive"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Whether an order would be accepted. A broker that is down is told, but orders are accepted without one."""
    try:
        _beat()
        with reading() as session:
            return {"status": "ready", "database": "up", **_beyond(session)}
    except SQLAlchemyError as error:
        log.error("not ready", database=describe_error(error))
        return {
            "status": "not ready",
            "database": "cannot save" if unavailable_reason(error) else "down",
        }, 503


def _beat() -> None:
    """Write, because a database that only answers accepts no order; not at every question, because a write waits for the disk."""
    last = current_app.extensions.get(_BEAT, float("-inf"))
    if perf_counter() - last > heartbeat.INTERVAL:
        heartbeat.beat(f"web@{socket.gethostname()}:{os.getpid()}", "web")
        current_app.extensions[_BEAT] = perf_counter()


def _beyond(session: Session) -> dict[str, str]:
    relays = [each for each in heartbeat.alive(session) if each.kind == "relay"]
    if not relays:
        return {"relay": "down", "broker": "unknown"}
    return {"relay": "up", "broker": "down" if any(each.trouble for each in relays) else "up"}


class LedgerCollector(Collector):
    """Reads the ledger at each scrape, so that every web process tells the same."""

    def collect(self) -> Iterator[Metric]:
        """Gauges of what is open and dead, by queue."""
        deliveries = GaugeMetricFamily(
            "tidings_deliveries", "Deliveries that are not handled", labels=["queue", "state"]
        )
        oldest = GaugeMetricFamily(
            "tidings_oldest_delivery_seconds", "Age of the oldest open delivery", labels=["queue"]
        )
        workers = GaugeMetricFamily("tidings_workers", "Workers that are alive", labels=["queue"])
        with reading() as session:
            for each in queues.overview(session):
                for state in ("waiting", "retrying", "dead"):
                    deliveries.add_metric([each.name, state], getattr(each, state))
                oldest.add_metric([each.name], each.oldest or 0.0)
                workers.add_metric([each.name], each.workers)
            waiting = queues.unrelayed(session)
        unrelayed = GaugeMetricFamily(
            "tidings_unrelayed_events", "Events that the relay has not fanned out", value=waiting
        )
        yield from (deliveries, oldest, workers, unrelayed)

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of a scrape: the registry would read the database otherwise."""
        return []


@bp.get("/metrics")
def metrics() -> ResponseReturnValue:
    """What Prometheus scrapes."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(ORDERS)
        registry.register(LATENCY)
    return Response(generate_latest(registry), mimetype=CONTENT_TYPE_LATEST)


def start_clock() -> None:
    """Note when the request came."""
    g.began = perf_counter()


def stop_clock(response: Response) -> Response:
    """Count how long the answer took, by endpoint: a path would make a series per order."""
    if began := g.pop("began", None):
        method = request.method if request.endpoint else "any"  # a client may make up methods
        LATENCY.labels(request.endpoint or "none", method, response.status_code).observe(
            perf_counter() - began
        )
    return response


def init_app(app: Flask) -> None:
    """Measure every request of `app`, and answer for its health."""
    app.before_request(start_clock)
    app.after_request(stop_clock)
    app.register_blueprint(bp)
