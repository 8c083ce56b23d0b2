"""Durations as text for people."""

import pytest

from events import Retry
from tasks.durations import duration_text, policy_json, retry_text
from tasks.gateways.ports import MAIL_RETRY_POLICY, RETRY_POLICY


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


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Retry(), '6 attempts within 31 sec; "not now" for 24 hr'),
        (Retry(attempts=1, give_up_after=0.0), '1 attempt; "not now" for 0.00 sec'),
        (RETRY_POLICY, '8 attempts within 39 sec; "not now" for 24 hr'),
        (MAIL_RETRY_POLICY, '10 attempts within 6 min; "not now" for 5 days'),
    ],
)
def test_a_policy_is_told_with_its_total_times(policy: Retry, text: str):
    assert retry_text(policy) == policy_json(policy)["text"] == text
