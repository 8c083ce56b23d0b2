"""The retry decision and the waits of a policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import DeadLetter, Retry, RetryAfter
from events.retry import decide

policies = st.builds(
    lambda attempts, first, more: Retry(attempts=attempts, first=first, cap=first + more),
    st.integers(1, 50),
    st.floats(0, 1e4),
    st.floats(0, 1e6),
)


@pytest.mark.parametrize(
    ("attempt", "error", "dead"),
    [
        (1, ValueError(), False),
        (2, ValueError(), False),
        (3, ValueError(), True),  # the last attempt of three
        (4, ValueError(), True),
        (1, DeadLetter(), True),
        (1, RetryAfter(5), False),
        (3, RetryAfter(5), True),  # RetryAfter counts as an attempt too
    ],
)
def test_the_last_attempt_or_a_dead_letter_makes_a_delivery_dead(
    attempt: int, error: Exception, dead: bool
) -> None:
    assert decide(Retry(attempts=3), attempt, error).dead is dead


@pytest.mark.parametrize(
    ("asked", "given"), [(5.0, 5.0), (0.0, 0.0), (-3.0, 0.0), (86_400.0, 86_400.0)]
)
def test_retry_after_overrides_the_wait_of_the_policy(asked: float, given: float) -> None:
    assert decide(Retry(attempts=3, first=1, cap=60), 1, RetryAfter(asked)).wait == given


@pytest.mark.parametrize(
    ("attempt", "ceiling"),
    [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (8, 60.0), (5000, 60.0)],
)
def test_the_wait_doubles_up_to_the_cap(attempt: int, ceiling: float) -> None:
    longest = Retry(first=1.0, cap=60.0).wait(attempt, draw=lambda low, high: high)
    shortest = Retry(first=1.0, cap=60.0).wait(attempt, draw=lambda low, high: low)

    assert (shortest, longest) == (0.0, ceiling)


@given(policies, st.integers(1, 10_000))
def test_no_wait_is_negative_or_longer_than_the_cap(policy: Retry, attempt: int) -> None:
    assert 0.0 <= policy.wait(attempt) <= policy.cap


@given(policies, st.integers(1, 60))
def test_a_failure_is_retried_or_dead_and_never_anything_else(policy: Retry, attempt: int) -> None:
    decision = decide(policy, attempt, ValueError())

    assert decision.dead is (attempt >= policy.attempts)
    assert decision.dead is (decision.wait is None)


def test_waits_are_spread_over_their_whole_range() -> None:
    waits = [Retry(first=8.0, cap=8.0).wait(1) for _ in range(400)]

    assert min(waits) < 1.0
    assert max(waits) > 7.0


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first": -1.0}, {"first": 10.0, "cap": 5.0}])
def test_an_invalid_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs attempts >= 1 and 0 <= first <= cap"):
        Retry(**wrong)  # type: ignore[arg-type]
