"""Durations as text for people."""

import pytest

from tasks.durations import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 sec"),
        (0.2345, "0.23 sec"),
        (9.5, "9.50 sec"),
        (59.4, "59 sec"),
        (119, "119 sec"),
        (120, "2 min"),
        (5400, "90 min"),
        (7380, "2 hr"),
        (200_000, "2 days"),
    ],
)
def test_a_duration_has_the_largest_unit_that_counts_two(seconds: float, text: str):
    assert duration_text(seconds) == text
