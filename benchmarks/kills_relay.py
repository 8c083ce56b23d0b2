"""The relay of the kill benchmark's bus."""

import threading

from benchmarks.kills_bus import app
from events.relay import Relay
from events.transport import CeleryTransport

Relay(CeleryTransport(app)).run(threading.Event())
