"""The steps of a replay: 1, 5, 25, then all; when one is over, and when the job stops."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

CANARY_STEPS = (1, 5, 25)
STOP_ABOVE = 0.1  # share of a step
JUDGED_FROM = 10  # settled deliveries of a step, or all of a smaller one
SLICE = 250  # rows in one transaction, at most: a thousand held SQLite for 250 ms
SLICES = 6  # of one job before the next has its turn
MAX_OPEN = 2000  # given back and not settled: new events of the subscription wait behind these
AHEAD = 2.0  # seconds of its rate that a job gives back in advance
MAX_IDS = 1000  # of a selection by ids
MAX_STEPS = 10
MAX_STEP = 100_000
MIN_RATE, MAX_RATE = 0.01, 1000.0  # deliveries per second


@dataclass(frozen=True)
class Pace:
    """The pace of a job: steps, then all others; a rate per second; the share that may die again.

    Without a rate deliveries are given back as fast as they are handled.
    """

    steps: Sequence[int] = ()
    rate: float | None = None
    stop_above: float = STOP_ABOVE

    def __post_init__(self) -> None:
        if len(self.steps) > MAX_STEPS or not all(1 <= each <= MAX_STEP for each in self.steps):
            raise ValueError(f"give at most {MAX_STEPS} steps, each of 1 to {MAX_STEP} deliveries")
        if self.rate is not None and not MIN_RATE <= self.rate <= MAX_RATE:
            raise ValueError(f"give a rate from {MIN_RATE} to {MAX_RATE:g} deliveries per second")
        if not 0 <= self.stop_above <= 1:
            raise ValueError("give the share that may die again as a number from 0 to 1")


AT_ONCE, CANARY = Pace(), Pace(CANARY_STEPS)


@dataclass(frozen=True)
class Step:
    """One step of a job; `size` is missing for "all others"."""

    size: int | None
    released: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    began_at: str | None = None

    @property
    def is_full(self) -> bool:
        """Tell whether the step has all its deliveries."""
        return self.size is not None and self.released >= self.size

    @property
    def settled(self) -> int:
        """The number of its deliveries that were handled or died again."""
        return self.done + self.failed

    def counted(self, **more: int) -> "Step":
        """Return the step with its counts raised."""
        return replace(self, **{name: getattr(self, name) + value for name, value in more.items()})

    def began(self, now: datetime) -> "Step":
        """Return the step with its beginning, unless it has one."""
        return self if self.began_at else replace(self, began_at=now.isoformat())


def planned(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return steps of these sizes, and the last one for all others, as the job stores them."""
    return [asdict(Step(size)) for size in (*sizes, None)]


def parsed(steps: Sequence[dict[str, Any]]) -> list[Step]:
    """Return the steps of a job."""
    return [Step(**each) for each in steps]


def stored(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return the steps as the job stores them."""
    return [asdict(each) for each in steps]


def too_many_failed(step: Step, stop_above: float) -> bool:
    """Tell whether too large a share of the step died again; few say nothing yet."""
    enough = min(JUDGED_FROM, step.size or JUDGED_FROM)
    return step.settled >= enough and step.failed > stop_above * step.settled


def reason_to_stop(step: Step, number: int, stop_above: float) -> str:
    """Return why a job stopped by itself at this step."""
    share = math.floor(100 * step.failed / step.settled + 0.5)
    return (
        f"at step {number}, {step.failed} of {step.settled} died again: "
        f"{share} % is over the limit of {100 * stop_above:g} %"
    )


def quota(step: Step, *, open_now: int, rate: float | None, ahead: float) -> int:
    """Return how many deliveries may be given back now.

    `ahead` is the number of seconds from the due time of the next one to the end of the time that
    is filled now; it is negative if the next one is due later.
    """
    room = min(SLICE, MAX_OPEN - open_now)
    if step.size is not None:
        room = min(room, step.size - step.released)
    if rate is not None:
        room = min(room, math.floor(ahead * rate) + 1 if ahead >= 0 else 0)
    return max(0, room)
