"""The relay's process: it runs until SIGINT or SIGTERM."""

import signal
import threading
from types import FrameType
from typing import Any

from events import environment, logs
from events.alerts.watch import AlertWatch
from events.observers import loading
from events.relay.loop import Relay
from events.transport import CeleryTransport


def run_relay(app: Any) -> None:
    """Turn events into deliveries and send due deliveries to the broker of a Celery app.

    Raises `InvalidSettings`.
    """
    environment.require_valid()
    logs.configure("relay")
    loading.start()
    stop = threading.Event()

    def finish(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, finish)
    with AlertWatch():
        Relay(CeleryTransport(app)).run(stop)
