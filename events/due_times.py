"""The due times that a caller gives: refused in words before a statement has them."""

from datetime import UTC, datetime
from typing import Any

from events.errors import ScheduleError


def due_time(given: Any, name: str) -> datetime:
    """Return the argument `name` as a time in UTC. Raises `ScheduleError`."""
    if not isinstance(given, datetime):
        raise ScheduleError(f"{name}={given!r} is no datetime; use events.clock.now()"[:200])
    if given.utcoffset() is None:
        raise ScheduleError(f"{name}={given} has no time zone; use events.clock.now()")
    try:
        return given.astimezone(UTC)
    except OverflowError as error:
        raise ScheduleError(f"{name}={given} is outside of the years 1 to 9999 in UTC") from error
