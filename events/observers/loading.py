"""The observers that the settings ask for, from their entry points."""

import atexit
from importlib.metadata import entry_points
from typing import Final

from events import observers
from events.settings import settings

_ENTRY_POINTS: Final = "tidings.observers"
_started: set[str] = set()


def start() -> None:
    """Let those watch this process that the settings ask for; a second call does nothing."""
    wanted = {
        "sentry": bool(settings().sentry_dsn),
        "opentelemetry": settings().tracing == "opentelemetry",
    }
    for name in sorted(name for name in wanted if wanted[name] and name not in _started):
        [found] = entry_points(group=_ENTRY_POINTS, name=name)
        observers.add(found.load()())
        if not _started:
            atexit.register(observers.close)
        _started.add(name)
