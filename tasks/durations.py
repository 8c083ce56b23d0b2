"""Durations as text for people."""

from datetime import timedelta

from babel.dates import format_timedelta
from babel.units import format_unit

LOCALE = "en"
_HUNDREDTHS_BELOW = 10.0  # seconds


def duration_text(seconds: float) -> str:
    """Format a duration in one unit: `0.23 sec`, `45 min`, `3 days`."""
    if seconds < _HUNDREDTHS_BELOW:
        return format_unit(seconds, "duration-second", "short", format="0.00", locale=LOCALE)
    # A unit is used from two of it on: with Babel's own threshold 53 minutes are `1 hr`.
    return format_timedelta(timedelta(seconds=seconds), threshold=2, format="short", locale=LOCALE)
