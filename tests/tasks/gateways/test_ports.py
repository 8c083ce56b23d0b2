"""The retry policy of the gateways."""

from events.retry import decide
from tasks.gateways.ports import RETRY_POLICY, GatewayDown, GatewayError


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


def test_a_gateway_that_is_down_is_asked_again_after_more_than_the_usual_wait() -> None:
    for attempt in range(1, RETRY_POLICY.attempts):
        wait = decide(RETRY_POLICY, attempt, GatewayDown("payment sandbox is down")).wait
        assert wait is not None
        assert 5 <= wait <= 15
