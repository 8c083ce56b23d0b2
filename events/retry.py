"""The retry decision: a pure function of the policy, the attempt and the error."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from events.errors import DeadLetter, RetryAfter


@dataclass(frozen=True)
class Retry:
    """A retry policy: the number of attempts, and the first and longest wait in seconds."""

    attempts: int = 6
    first: float = 1.0
    cap: float = 60.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first < 0 or self.cap < self.first:
            raise ValueError(f"{self}: needs attempts >= 1 and 0 <= first <= cap")

    def wait(
        self, attempt: int, *, draw: Callable[[float, float], float] = random.uniform
    ) -> float:
        """Return the seconds to wait after failed attempt number `attempt` (from 1).

        Exponential, capped, with full jitter, which spreads retries best of the known kinds
        (Brooker, "Exponential Backoff And Jitter", AWS 2015).
        """
        ceiling = min(self.cap, self.first * 2.0 ** min(attempt - 1, 60))
        return draw(0.0, ceiling)


@dataclass(frozen=True)
class Decision:
    """The fate of a failed delivery: seconds until the next attempt, or `None` if it is dead."""

    wait: float | None

    @property
    def dead(self) -> bool:
        """Tell whether no further attempt is made."""
        return self.wait is None


def decide(policy: Retry, attempt: int, error: BaseException) -> Decision:
    """Decide what follows from `error` on attempt number `attempt` (from 1)."""
    if isinstance(error, DeadLetter) or attempt >= policy.attempts:
        return Decision(wait=None)
    if isinstance(error, RetryAfter):
        return Decision(wait=max(0.0, error.seconds))
    return Decision(wait=policy.wait(attempt))
