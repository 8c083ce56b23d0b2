"""The relay of the benchmarks' bus."""

import threading

from benchmarks.on_bus import app
from events.relay.loop import Relay
from events.transport import CeleryTransport

Relay(CeleryTransport(app)).run(threading.Event())
