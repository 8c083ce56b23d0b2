"""When is it ready: the web answers, the relay reaches the broker and every worker beats, so an order would go through."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from setproctitle import setproctitle
from sqlalchemy.exc import SQLAlchemyError

from events import heartbeat, reading

_PAUSE = 0.1  # seconds between two looks
_SAY_AFTER = 15.0  # seconds after which it says what it waits for


def wait(url: str, workers: Mapping[str, int], since: datetime) -> None:
    """Return when everything is up: the web at `url`, a relay, and so many `workers` per queue, all started after `since`."""
    setproctitle("tidings: waiting until ready")
    said = time.monotonic()
    while missing := _missing(url, workers, since):
        if time.monotonic() - said > _SAY_AFTER:
            print(f"not ready yet; waiting for {', '.join(missing)}")
            said = time.monotonic()
        time.sleep(_PAUSE)


def _missing(url: str, workers: Mapping[str, int], since: datetime) -> list[str]:
    missing = [] if _web_is_ready(url) else ["the web"]
    try:
        with reading() as session:
            beats = [each for each in heartbeat.alive(session) if each.started_at >= since]
    except SQLAlchemyError:
        return [*missing, "the database"]
    relays = [each for each in beats if each.kind == "relay"]
    if not relays:
        missing.append("the relay")
    elif all(each.trouble for each in relays):
        missing.append("the broker")
    alive = Counter(queue for each in beats if each.kind == "worker" for queue in each.queues)
    return missing + [f"worker {queue}" for queue, count in workers.items() if alive[queue] < count]


def _web_is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2.0) as answer:  # noqa: S310 (our own address)
            return bool(json.load(answer)["status"] == "ready")
    except (OSError, ValueError):
        return False
