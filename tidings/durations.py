"""Durations as people read them."""

from datetime import timedelta

from babel.dates import format_timedelta
from babel.units import format_unit

_FRACTIONS_BELOW = 10.0  # seconds; longer durations are rounded to whole units


def format_duration(seconds: float) -> str:
    """Return a duration such as `0.23 sec`, `45 min` or `3 days`."""
    if abs(seconds) < _FRACTIONS_BELOW:
        return format_unit(round(seconds, 2), "duration-second", length="short", locale="en")
    # With Babel's own threshold 53 minutes are `1 hr`.
    return format_timedelta(timedelta(seconds=seconds), threshold=2, format="short", locale="en")
