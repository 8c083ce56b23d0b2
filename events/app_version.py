"""The version of the application: what APP_VERSION says, or else the installed distribution."""

from functools import cache
from importlib import metadata

from events.settings import settings
from events.subscriptions import registered

_MAX = 100  # characters


def app_version() -> str:
    """Return the version of the application whose subscriptions are registered.

    Without APP_VERSION it is that of the distribution that installed their package. It is empty if
    none did.
    """
    if given := settings().app_version:
        return given
    modules = sorted(each.handler.__module__ for each in registered().values())
    return _installed(modules[0].partition(".")[0])[:_MAX] if modules else ""


@cache  # a process has the code that it imported, whatever is installed later
def _installed(package: str) -> str:
    for each in metadata.distributions():  # a builder that writes no such list is asked by name
        if package in (each.read_text("top_level.txt") or "").split():
            return each.version
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
