"""`tidings relay`: the process that turns events into deliveries and sends them."""

import signal
import threading
from types import FrameType

import click

from events import environment, logs
from events.relay.loop import Relay
from events.transport import CeleryTransport
from tasks.celery import app


@click.command()
def relay() -> None:
    """Turn events into deliveries and send due deliveries, until SIGINT or SIGTERM.

    One relay is enough. Several share the work on PostgreSQL and take over when one dies.
    """
    environment.require_valid()
    logs.configure("relay")
    stop = threading.Event()

    def finish(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, finish)
    Relay(CeleryTransport(app)).run(stop)
