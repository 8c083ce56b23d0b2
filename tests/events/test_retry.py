"""The retry decision and the waits of a policy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import DeadLetter, NotNow, Retry, RetryAfter
from events.retry import DAY, MAX_WAIT, decide

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
        (3, RetryAfter(5), False),  # "not now" is limited by time, not by attempts
        (3, NotNow(), False),
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


@pytest.mark.parametrize("wrong", [{"give_up_after": -1.0}, {"not_now_cap": 0.0}])
def test_a_policy_without_time_for_not_now_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs give_up_after >= 0 and not_now_cap >= 10"):
        Retry(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"cap": math.inf}, {"cap": math.nan}, {"give_up_after": math.inf}]
)
def test_a_policy_needs_finite_numbers(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs numbers that are finite"):
        Retry(**wrong)  # type: ignore[arg-type]


def test_not_now_is_retried_until_the_policy_gives_up_and_no_longer() -> None:
    policy = Retry(attempts=2, give_up_after=5 * DAY, not_now_cap=3600.0)
    waits, elapsed = [], 0.0
    for number in range(1000):
        decision = decide(policy, number + 1, NotNow(), not_now=number, elapsed=elapsed)
        if decision.wait is None:
            break
        waits.append(decision.wait)
        elapsed += decision.wait

    assert elapsed == pytest.approx(5 * DAY)  # the last attempt is at the end of the time
    assert 5 <= waits[0] <= 10
    assert all(1800 <= wait <= 3600 for wait in waits[40:-1])
    assert 120 <= len(waits) <= 280


def test_attempts_that_ended_with_not_now_are_not_counted_as_failures() -> None:
    policy = Retry(attempts=3)

    assert not decide(policy, 42, ValueError(), not_now=40, elapsed=DAY).dead
    assert decide(policy, 43, ValueError(), not_now=40, elapsed=DAY).dead


def test_a_time_that_is_told_is_heeded_to_the_end_of_the_policy() -> None:
    policy = Retry(attempts=3, give_up_after=DAY)

    assert decide(policy, 2, RetryAfter(3 * DAY), not_now=1, elapsed=DAY - 1).wait == 3 * DAY
    assert decide(policy, 3, RetryAfter(1), not_now=2, elapsed=4 * DAY).dead


def test_who_asks_again_and_again_for_no_pause_is_asked_less_and_less_often() -> None:
    waits: list[float] = []
    for number in range(60):
        decision = decide(
            Retry(attempts=3), number + 1, RetryAfter(0), not_now=number, elapsed=sum(waits)
        )
        waits.append(decision.wait or 0.0)

    assert waits[:3] == [0.0, 0.0, 0.0]
    assert 5 <= waits[3] <= 10
    assert all(wait >= 300 for wait in waits[50:])


@pytest.mark.parametrize("outage", [10.0, 30.0, 600.0, 3000.0])
def test_work_goes_on_within_half_of_the_time_of_an_outage_or_ten_seconds(outage: float) -> None:
    longest = Retry(not_now_cap=3600.0).not_now_wait(outage, draw=lambda low, high: high)

    assert longest == max(10.0, outage / 2)


@pytest.mark.parametrize(
    ("asked", "given"), [(math.inf, MAX_WAIT), (1e300, MAX_WAIT), (math.nan, 0.0)]
)
def test_a_time_that_no_calendar_holds_is_no_error(asked: float, given: float) -> None:
    assert decide(Retry(), 1, RetryAfter(asked)).wait == given


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (Retry(attempts=1), 0.0),
        (Retry(attempts=6, first=1.0, cap=60.0), 31.0),
        (Retry(attempts=8, first=1.0, cap=8.0), 39.0),
        (Retry(attempts=10**9, first=1.0, cap=1.0), 10**9 - 1.0),
        (Retry(attempts=100, first=0.0, cap=1.0), 0.0),
    ],
)
def test_a_policy_tells_its_longest_time(policy: Retry, seconds: float) -> None:
    assert policy.attempts_within == seconds
