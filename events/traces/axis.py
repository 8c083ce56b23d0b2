"""A time axis on which a gap is cut short that is longer than all that happens between the others.

Positions are shares of the axis, from 0 to 1.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

MIN_CUT = 1.0  # seconds of the shortest gap that is cut
MUCH_LONGER = 3.0  # a gap is cut if it is so many times as long as all shorter ones together
WIDTH_OF_CUT = 0.15  # of the axis
WIDTH_OF_CUTS = 0.5  # of all cuts together, at most
TICKS = 10  # on an axis without a cut, at most


@dataclass(frozen=True)
class Gap:
    """The time between two neighbours on the axis, and its place there."""

    start: datetime
    end: datetime
    left: float
    right: float
    cut: bool

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True)
class Tick:
    """A mark on the axis: `seconds` after the begin of its part, which is an uncut one."""

    at: float
    time: datetime
    seconds: float
    part: int


@dataclass(frozen=True)
class Axis:
    """An axis over the times of a trace."""

    gaps: Sequence[Gap]

    @property
    def cuts(self) -> list[Gap]:
        """The gaps that are cut short."""
        return [each for each in self.gaps if each.cut]

    def position(self, at: datetime) -> float:
        """Return the place of a time; one outside of the axis is at its end."""
        index = bisect_right([each.start for each in self.gaps], at) - 1
        if index < 0:
            return 0.0
        gap = self.gaps[index]
        share = (at - gap.start).total_seconds() / gap.seconds
        return gap.left + min(1.0, share) * (gap.right - gap.left)

    def ticks(self) -> Iterator[Tick]:
        """Yield marks at round times, counted from the begin of each part between two cuts."""
        for number, part in enumerate(self._parts()):
            first, last = part[0], part[-1]
            seconds = (last.end - first.start).total_seconds()
            room = max(1, int((last.right - first.left) * TICKS))
            step = _round_step(seconds / room)
            for count in range(int(seconds / step) + 1):
                time = first.start + timedelta(seconds=count * step)
                yield Tick(self.position(time), time, count * step, number)

    def _parts(self) -> Iterator[list[Gap]]:
        part: list[Gap] = []
        for gap in self.gaps:
            if not gap.cut:
                part.append(gap)
            elif part:
                yield part
                part = []
        if part:
            yield part


def over(times: Iterable[datetime]) -> Axis:
    """Return the axis over these times."""
    pairs = list(pairwise(sorted(set(times))))
    lengths = [(end - start).total_seconds() for start, end in pairs]
    cut = _cut(lengths)
    width_of_cut = min(WIDTH_OF_CUT, WIDTH_OF_CUTS / len(cut)) if cut else 0.0
    uncut = sum(length for index, length in enumerate(lengths) if index not in cut)
    left, gaps = 0.0, []
    for index, ((start, end), length) in enumerate(zip(pairs, lengths, strict=True)):
        is_cut = index in cut
        width = width_of_cut if is_cut else length / uncut * (1 - width_of_cut * len(cut))
        gaps.append(Gap(start, end, left, left + width, is_cut))
        left += width
    return Axis(gaps)


def _cut(lengths: Sequence[float]) -> set[int]:
    """Return the gaps beside which the others could not be seen, as many as there are."""
    longest_first = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    rest, found = sum(lengths), 0
    for count, index in enumerate(longest_first[:-1], start=1):
        rest -= lengths[index]
        if lengths[index] >= MIN_CUT and lengths[index] > MUCH_LONGER * rest:
            found = count
    return set(longest_first[:found])


_ROUND = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 43200, 86400)


def _round_step(at_least: float) -> float:
    """Return the shortest round step that is not below `at_least`."""
    if at_least > _ROUND[-1]:
        return _ROUND[-1] * float(-(-at_least // _ROUND[-1]))
    unit = 1.0
    while at_least <= unit and unit > 1e-6:
        unit /= 10
    if unit < 1:
        return next(each * unit for each in (1, 2, 5, 10) if each * unit >= at_least)
    return float(next(each for each in _ROUND if each >= at_least))
