"""The retry decision: a pure function of the policy, the failed attempts so far and the error.

An error that says "not now" is no failure of the delivery: it is limited by time, any other error
by the number of attempts.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from events.errors import DeadLetter, NotNow, RetryAfter

DAY = 86_400.0  # seconds
NOT_NOW_FIRST = 10.0  # seconds; the longest first pause after "not now"
MAX_WAIT = 30 * DAY  # the longest pause that a `RetryAfter` can ask for
_DOUBLINGS = 60  # after which any pause is at its cap, and a float is still a number

Draw = Callable[[float, float], float]


@dataclass(frozen=True)
class Retry:
    """A retry policy: a number of attempts for failures, and a time in seconds for "not now".

    A delivery is dead after `attempts` failures; the pauses between them double from `first` to
    `cap`. After "not now" (`NotNow`, `RetryAfter`) it is retried until `give_up_after` its first
    failure, with pauses that grow to `not_now_cap`, and none of these attempts is counted.
    """

    attempts: int = 6
    first: float = 1.0
    cap: float = 60.0
    give_up_after: float = DAY
    not_now_cap: float = 600.0

    def __post_init__(self) -> None:
        if not all(isfinite(each) for each in (self.cap, self.give_up_after, self.not_now_cap)):
            raise ValueError(f"{self}: needs numbers that are finite")
        if self.attempts < 1 or not 0 <= self.first <= self.cap:
            raise ValueError(f"{self}: needs attempts >= 1 and 0 <= first <= cap")
        if self.give_up_after < 0 or self.not_now_cap < NOT_NOW_FIRST:
            raise ValueError(
                f"{self}: needs give_up_after >= 0 and not_now_cap >= {NOT_NOW_FIRST:g}"
            )

    def wait(self, attempt: int, *, draw: Draw = random.uniform) -> float:
        """Return the seconds to wait after failed attempt number `attempt` (from 1).

        Exponential, capped, with full jitter, which spreads retries best of the known kinds
        (Brooker, "Exponential Backoff And Jitter", AWS 2015).
        """
        return draw(0.0, _doubled(self.first, attempt, self.cap))

    def not_now_wait(self, elapsed: float, *, draw: Draw = random.uniform) -> float:
        """Return the seconds to wait after "not now", `elapsed` seconds after the first failure.

        At most half of the time that it took so far, so that work goes on soon after a short
        outage, and at least half of that: who was told to come back later does not come at once.
        """
        ceiling = min(self.not_now_cap, max(NOT_NOW_FIRST, elapsed / 2))
        return draw(ceiling / 2, ceiling)

    @property
    def attempts_within(self) -> float:
        """The longest time from the first to the last of the `attempts`, in seconds."""
        last = _DOUBLINGS + 1  # this pause and those after it are equal
        growing = (
            _doubled(self.first, number, self.cap) for number in range(1, min(self.attempts, last))
        )
        equal = max(0, self.attempts - last)
        return sum(growing) + equal * _doubled(self.first, last, self.cap)


@dataclass(frozen=True)
class Decision:
    """The fate of a failed delivery: seconds until the next attempt, or `None` if it is dead.

    `not_now` says that the attempt counts as "not now" and not as a failure.
    """

    wait: float | None
    not_now: bool = False

    @property
    def dead(self) -> bool:
        """Tell whether no further attempt is made."""
        return self.wait is None


def decide(
    policy: Retry, attempt: int, error: BaseException, *, not_now: int = 0, elapsed: float = 0.0
) -> Decision:
    """Decide what follows from `error` on attempt number `attempt` (from 1).

    `not_now` of the attempts before it ended so; `elapsed` are the seconds since the first of them.
    """
    if isinstance(error, DeadLetter):
        return Decision(wait=None)
    if isinstance(error, NotNow):
        return _postpone(policy, not_now + 1, error, elapsed)
    failures = attempt - not_now
    return Decision(wait=None if failures >= policy.attempts else policy.wait(failures))


def _postpone(policy: Retry, number: int, error: NotNow, elapsed: float) -> Decision:
    left = policy.give_up_after - elapsed
    if left <= 0:
        return Decision(wait=None, not_now=True)
    if isinstance(error, RetryAfter):
        asked = min(max(0.0, error.seconds), MAX_WAIT)
        # Who asks for a short pause time after time is asked less and less often all the same.
        if number > policy.attempts:
            asked = max(asked, policy.not_now_wait(elapsed))
        return Decision(asked, not_now=True)
    return Decision(min(policy.not_now_wait(elapsed), left), not_now=True)


def _doubled(first: float, number: int, cap: float) -> float:
    return min(cap, first * 2.0 ** min(number - 1, _DOUBLINGS))
