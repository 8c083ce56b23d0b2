"""The observers that the settings ask for, from their entry points."""

import atexit
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any, Final

from pydantic import ValidationError

from events import environment, observers
from events.environment import WrongSetting
from events.settings import Settings, settings

_ENTRY_POINTS: Final = "tidings.observers"
_started: set[str] = set()


def start() -> None:
    """Let those watch this process that the settings ask for; a second call does nothing."""
    wanted = {
        "sentry": bool(settings().sentry_dsn),
        "opentelemetry": settings().tracing == "opentelemetry",
    }
    for name in sorted(name for name in wanted if wanted[name] and name not in _started):
        observers.add(_class_of(name)())
        if not _started:
            atexit.register(observers.close)
        _started.add(name)


def _class_of(name: str) -> Any:
    [found] = entry_points(group=_ENTRY_POINTS, name=name)
    return found.load()


def _wrong_variables() -> Iterator[WrongSetting]:
    """Yield what OpenTelemetry refuses of its own variables: each span would fail by it."""
    try:
        if Settings().tracing != "opentelemetry":
            return
    except ValidationError:  # told with the other settings
        return
    try:
        _class_of("opentelemetry").check()
    except ValueError as error:  # of some variables when its modules are imported
        reason = f"cannot configure OpenTelemetry: {str(error).rstrip('.')}"
        yield WrongSetting("OTEL_*", reason, "correct that variable, or unset it")


environment.add_check(_wrong_variables)
