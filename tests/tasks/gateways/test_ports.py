"""The retry policies of the gateways."""

import pytest

from events import Retry
from events.retry import DAY, decide
from tasks.gateways.ports import MAIL_RETRY_POLICY, RETRY_POLICY, GatewayDown, GatewayError


def test_a_request_that_always_fails_is_given_up_within_half_a_minute_or_so() -> None:
    waits = [
        decide(RETRY_POLICY, attempt, GatewayError("no")).wait
        for attempt in range(1, RETRY_POLICY.attempts + 1)
    ]
    assert waits[-1] is None
    longest = [
        RETRY_POLICY.wait(attempt, draw=lambda low, high: high)
        for attempt in range(1, RETRY_POLICY.attempts)
    ]
    assert sum(longest) <= 40
    assert 15 <= sum(longest) / 2 <= 25  # with full jitter, on average


@pytest.mark.parametrize(
    ("policy", "days"), [(RETRY_POLICY, 1), (MAIL_RETRY_POLICY, 5)], ids=["gateways", "mails"]
)
def test_a_gateway_that_is_down_is_asked_for_days_with_growing_pauses(
    policy: Retry, days: int
) -> None:
    waits, elapsed = [], 0.0
    for number in range(1000):
        error = GatewayDown("payment sandbox is down")
        wait = decide(policy, number + 1, error, not_now=number, elapsed=elapsed).wait
        if wait is None:
            break
        waits.append(wait)
        elapsed += wait

    assert elapsed == pytest.approx(days * DAY)
    assert 5 <= waits[0] <= 10
    assert waits[60] >= policy.not_now_cap / 2
