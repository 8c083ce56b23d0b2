"""The metrics that are read from the database at each scrape, so that workers need no port."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from sqlalchemy.orm import Session

from events import heartbeat, reading
from events.admin import breakers, queues, stats
from events.admin.breakers import BreakerLine
from events.admin.stats import QueueStats
from events.count_tables import BOUNDS

STATES = ("waiting", "in_flight", "retrying", "dead")
_PLACE = ("queue", "subscription")
_COUNTERS = {
    "handled": "Deliveries that were handled",
    "failed": "Attempts of deliveries that failed",
    "retried": "Failed attempts that are retried",
    "died": "Deliveries that no retry saved",
    "replayed": "Dead letters that were replayed",
}


class LedgerCollector(Collector):
    """A collector that reads the database at each scrape, so that all web processes agree."""

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of queues, subscriptions, relays and breakers."""
        with reading() as session:
            found = stats.read(session, history=False)
            totals = stats.totals(session)
            lines = breakers.listed(session)
            relay = [_relays(session), *_relay_lag(session)]
        yield from relay
        yield from _backlogs(found)
        yield from _workers(found)
        yield from _counters(found)
        yield _histogram(found, totals)
        yield _breakers(lines)

    def describe(self) -> Iterable[Metric]:
        """Describe nothing, because the registry would read the database for it."""
        return []


def _relays(session: Session) -> Metric:
    relays = GaugeMetricFamily(
        "tidings_relays", "Relays that are alive", labels=["broker", "trouble"]
    )
    for relay in heartbeat.live_relays(session):
        # An error of a connection names hosts, which are no business of everybody's.
        trouble = relay.trouble if relay.blocked else None
        relays.add_metric([heartbeat.broker_state(relay), trouble or ""], 1)
    return relays


def _relay_lag(session: Session) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "tidings_unrelayed_events",
        "Events that the relay has not fanned out",
        value=queues.unrelayed(session),
    )
    yield GaugeMetricFamily(
        "tidings_relay_lag_seconds",
        "Age of the oldest event that the relay has not fanned out",
        value=queues.relay_lag(session),
    )


def _backlogs(found: Sequence[QueueStats]) -> Iterator[Metric]:
    deliveries = GaugeMetricFamily(
        "tidings_deliveries", "Deliveries that are not handled", labels=[*_PLACE, "state"]
    )
    oldest = GaugeMetricFamily(
        "tidings_oldest_delivery_seconds", "Age of the oldest open delivery", labels=_PLACE
    )
    paused = GaugeMetricFamily("tidings_paused", "1 if the subscription is paused", labels=_PLACE)
    for queue in found:
        for line in queue.subscriptions:
            place = [line.queue, line.name]
            for state in STATES:
                deliveries.add_metric([*place, state], getattr(line, state))
            oldest.add_metric(place, line.oldest or 0.0)
            paused.add_metric(place, line.paused)
    yield from (deliveries, oldest, paused)


def _workers(found: Sequence[QueueStats]) -> Iterator[Metric]:
    workers = GaugeMetricFamily("tidings_workers", "Workers that are alive", labels=["queue"])
    labels = ["queue", "reason", "fix"]
    refused = GaugeMetricFamily(
        "tidings_queue_refused", "Queues that the broker refuses", labels=labels
    )
    for queue in found:
        view = queue.view
        workers.add_metric([view.name], view.workers)
        if view.trouble:
            refused.add_metric([view.name, view.trouble, view.fix or ""], 1)
    yield from (workers, refused)


def _counters(found: Sequence[QueueStats]) -> Iterator[Metric]:
    for name, text in _COUNTERS.items():
        family = CounterMetricFamily(f"tidings_deliveries_{name}", text, labels=_PLACE)
        for queue in found:
            for line in queue.subscriptions:
                family.add_metric([line.queue, line.name], getattr(line, name))
        yield family


def _histogram(found: Sequence[QueueStats], totals: stats.Counts) -> Metric:
    family = HistogramMetricFamily(
        "tidings_commit_to_effect_seconds",
        "Time from the commit of an event to its effect",
        labels=_PLACE,
    )
    for queue in found:
        for line in queue.subscriptions:
            counted = totals[line.name]
            sums = accumulate(counted[column] for column in BOUNDS)
            bounds = map(floatToGoString, BOUNDS.values())
            buckets = list(zip(bounds, map(float, sums), strict=True))
            place = [line.queue, line.name]
            family.add_metric(place, buckets, counted["milliseconds"] / 1000)
    return family


def _breakers(lines: Iterable[BreakerLine]) -> Metric:
    found = GaugeMetricFamily(
        "tidings_breaker", "1 for the state of the circuit breaker", labels=["dependency", "state"]
    )
    for line in lines:
        for state in breakers.STATES:
            found.add_metric([line.dependency, state], line.state == state)
    return found
