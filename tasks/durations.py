"""Durations and retry policies as text for people."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from babel.dates import format_timedelta
from babel.units import format_unit

from events import Retry

LOCALE = "en"
_HUNDREDTHS_BELOW = 10.0  # seconds


def duration_text(seconds: float) -> str:
    """Format a duration in one unit: `0.23 sec`, `45 min`, `3 days`."""
    if seconds < _HUNDREDTHS_BELOW:
        return format_unit(seconds, "duration-second", "short", format="0.00", locale=LOCALE)
    # A unit is used from two of it on: with Babel's own threshold 53 minutes are `1 hr`.
    return format_timedelta(timedelta(seconds=seconds), threshold=2, format="short", locale=LOCALE)


def retry_text(policy: Retry) -> str:
    """Format a policy with its total times: `6 attempts within 31 sec; "not now" for 24 hr`."""
    attempts = "1 attempt"
    if policy.attempts > 1:
        attempts = f"{policy.attempts} attempts within {duration_text(policy.attempts_within)}"
    return f'{attempts}; "not now" for {duration_text(policy.give_up_after)}'


def policy_json(policy: Retry) -> dict[str, Any]:
    """Return the fields of a policy, its longest time for `attempts`, and its text."""
    return asdict(policy) | {
        "attempts_within": policy.attempts_within,
        "text": retry_text(policy),
    }
