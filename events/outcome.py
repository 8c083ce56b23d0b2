"""The outcome of each delivery in a message, and the report of all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Result(StrEnum):
    """The result of one delivery in one message."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"  # settled before, or another worker was faster
    RETRYING = "retrying"
    DEAD = "dead"


@dataclass(frozen=True)
class Outcome:
    """One delivery's result.

    `wait` is the time in seconds until it is sent again; `reason` holds no personal data.
    """

    result: Result
    wait: float = 0.0
    reason: str = ""
    error: BaseException | None = field(default=None, repr=False)  # it may hold personal data
    breaker_open: bool = False  # nothing more can be handled until the dependency is back


@dataclass(frozen=True)
class Report:
    """The outcomes of one message's deliveries."""

    outcomes: Sequence[Outcome]

    def count(self, result: Result) -> int:
        """Return the number of deliveries with this result."""
        return sum(each.result == result for each in self.outcomes)

    @property
    def wait(self) -> float:
        """Seconds until the last of them is sent again."""
        return max((each.wait for each in self.outcomes), default=0.0)

    @property
    def error(self) -> BaseException | None:
        """The first error that a handler raised."""
        return next((each.error for each in self.outcomes if each.error), None)

    def __str__(self) -> str:
        counts = Counter(each.result for each in self.outcomes)
        parts = [
            f"{each} {counts[each]}" if counts[each] > 1 else each
            for each in Result
            if counts[each]
        ]
        reason = next((each.reason for each in reversed(self.outcomes) if each.reason), "")
        return ", ".join(parts) + (f": {reason}" if reason else "")
