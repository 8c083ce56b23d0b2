"""The wait for readiness: an order would be handled when web, relay, broker and workers are up."""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import httpx
from setproctitle import setproctitle
from sqlalchemy.exc import SQLAlchemyError

from events import heartbeat, reading
from tidings.http_client import open_client

SOCKET_TIMEOUT = 2.0  # seconds
_POLL_INTERVAL = 0.1  # seconds
_REPORT_INTERVAL = 15.0  # seconds


def wait(url: str, workers: Mapping[str, int], since: datetime) -> None:
    """Return when the web at `url`, a relay, the broker and the `workers` of each queue are up.

    Heartbeats of processes that started before `since` are ignored.
    """
    setproctitle("tidings: waiting until ready")
    reported = time.monotonic()
    with open_client(url, timeout=SOCKET_TIMEOUT) as client:
        while missing := _missing(client, workers, since):
            if time.monotonic() - reported > _REPORT_INTERVAL:
                print(f"not ready yet; waiting for {', '.join(missing)}")
                reported = time.monotonic()
            time.sleep(_POLL_INTERVAL)


def _missing(client: httpx.Client, workers: Mapping[str, int], since: datetime) -> list[str]:
    missing = [] if _web_is_ready(client) else ["the web"]
    try:
        with reading() as session:
            alive = [each for each in heartbeat.alive(session) if each.started_at >= since]
    except SQLAlchemyError:
        return [*missing, "the database"]
    relays = [each for each in alive if each.kind == "relay"]
    if not relays:
        missing.append("the relay")
    elif all(each.trouble for each in relays):
        missing.append("the broker")
    counts = Counter(queue for each in alive if each.kind == "worker" for queue in each.queues)
    return missing + [
        f"worker {queue}" for queue, count in workers.items() if counts[queue] < count
    ]


def _web_is_ready(client: httpx.Client) -> bool:
    try:
        response = client.get("/readyz")
        return response.is_success and bool(response.json()["status"] == "ready")
    except (httpx.HTTPError, ValueError):
        return False
