"""The bars of a trace: its segments as rectangles on the time axis, in percent of its width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.traces.axis import Axis, Tick
from tasks import order_axis
from tasks.order_trace_rows import DeliveryRow, OrderTrace, SegmentRow
from web.filters import duration, time_of_day

MIN_WIDTH = 0.9  # percent: what took no time is seen too
STEP = 0.25  # percent: of bars of one kind that begin within it, one is drawn
NEAR_END = 0.93  # of the axis
LABEL_WIDTH = 0.1  # of the axis, on a screen of 1280 pixels
CSS_CLASSES = {"in flight": "in-flight"}


@dataclass(frozen=True)
class Bar:
    """A rectangle with the words for it."""

    x: str
    width: str
    css_class: str
    title: str


@dataclass(frozen=True)
class Label:
    """A word under the axis; one near its end stands before its place."""

    x: str
    text: str
    anchor: str


@dataclass(frozen=True)
class Drawing:
    """The axis of one trace: its lines, the edges of its cuts, and its labels."""

    axis: Axis
    lines: list[str]
    edges: list[str]
    labels: list[Label]
    cuts: str

    def bars(self, delivery: DeliveryRow) -> list[Bar]:
        """Return the bars of a delivery, those of the critical path last, so that they show."""
        drawn = sorted(_thinned(self.axis, delivery.segments), key=lambda each: each.critical)
        return [self._bar(each, delivery) for each in drawn]

    def mark(self, at: datetime) -> str:
        """Return the place of an event."""
        return _percent(min(self.axis.position(at) * 100, 100 - MIN_WIDTH))

    def _bar(self, segment: SegmentRow, delivery: DeliveryRow) -> Bar:
        left, right = (self.axis.position(at) * 100 for at in (segment.start, segment.end))
        width = max(MIN_WIDTH, right - left)
        kind = CSS_CLASSES.get(segment.kind, segment.kind)
        if delivery.compensates and kind == "handled":
            kind = "undoing"
        return Bar(
            _percent(min(left, 100 - width)),
            _percent(width),
            f"{kind} critical" if segment.critical else kind,
            f"{segment.text}, {duration(segment.took)}",
        )


def draw(trace: OrderTrace) -> Drawing:
    """Return the axis over all times of the trace."""
    found = order_axis.of(trace)
    ticks = list(found.ticks())
    edges = [edge for cut in found.cuts for edge in (cut.left, cut.right)]
    return Drawing(
        found,
        [_percent(tick.at * 100) for tick in ticks],
        [_percent(edge * 100) for edge in edges],
        list(labels(ticks)),
        order_axis.cuts_text(found),
    )


def summary(delivery: DeliveryRow) -> str:
    """Return the words for all bars of a delivery."""
    parts = [f"{each.text}, {duration(each.took)}" for each in delivery.segments[:20]]
    more = len(delivery.segments) - len(parts)
    return "; ".join([*parts, f"and {more} more"] if more else parts)


def longest(trace: OrderTrace, *, at_most: int = 5) -> dict[str, Any]:
    """Return the longest parts of the critical path in their order, and the time of all others."""
    by_time = sorted(trace.critical_path, key=lambda part: -part.took)[:at_most]
    parts = [part for part in trace.critical_path if part in by_time]
    rest = trace.took - sum(part.took for part in parts)
    return {
        "parts_of_path": parts,
        "rest": max(0.0, rest),
        "hops": len(trace.critical_path) - len(parts),
    }


def _thinned(found: Axis, segments: Sequence[SegmentRow]) -> Iterator[SegmentRow]:
    drawn: set[tuple[str, int, int]] = set()
    for each in segments:
        ends = (int(found.position(at) * 100 / STEP) for at in (each.start, each.end))
        key = (str(each.kind), *ends)
        if key not in drawn:
            drawn.add(key)  # type: ignore[arg-type]  # of three
            yield each


def labels(ticks: Sequence[Tick]) -> Iterator[Label]:
    """Yield the label of each tick, but of one at the end that has no room beside the one before.

    A label begins at its tick; one near the end stands before it.
    """
    before = -1.0
    for tick in ticks:
        near_end = tick.at > NEAR_END
        if not near_end or tick.at - before >= 2 * LABEL_WIDTH:
            anchor = "end" if near_end else "start"
            yield Label(_percent(tick.at * 100), _label_text(tick), anchor)
        before = tick.at


def _label_text(tick: Tick) -> str:
    if tick.part and not tick.seconds:
        return time_of_day(tick.time)
    return f"{'+' if tick.part else ''}{duration(tick.seconds) if tick.seconds else '0'}"


def _percent(value: float) -> str:
    return f"{max(0.0, value):.2f}%"
