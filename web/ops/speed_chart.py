"""The chart of a queue: the times from commit to effect of the last hours, as lines in an SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log10

from events.admin.stats import HISTORY_MINUTES, POINT_MINUTES, Point
from events.admin.worker_versions import WorkerVersion

WIDTH, HEIGHT = 960, 120
_STEP = timedelta(minutes=POINT_MINUTES)
_NICE = (1, 2, 5, 10)
_LEAST = 0.1  # seconds at the top of a chart


@dataclass(frozen=True)
class Line:
    """A line of the chart; where nothing was handled it is interrupted."""

    name: str
    parts: Sequence[str]  # the points of each polyline


@dataclass(frozen=True)
class Chart:
    """A chart of `WIDTH` x `HEIGHT`; its top is at `top` seconds."""

    since: datetime
    until: datetime
    top: float
    highest: float
    lines: Sequence[Line]
    marks: Sequence[int]  # x where a version of the workers started


def draw(points: Sequence[Point], versions: Sequence[WorkerVersion], now: datetime) -> Chart | None:
    """Return the chart of these points, or `None` if nothing was handled.

    A version is marked where it started, if that is within the time of the chart.
    """
    since = now - timedelta(minutes=HISTORY_MINUTES)
    highest = max((each.p99 for each in points if each.p99 is not None), default=None)
    if highest is None:
        return None
    top = _round_up(max(highest, _LEAST))
    lines = [_line(name, points, since, top) for name in ("p50", "p95", "p99")]
    marks = [round(_x(each.since, since)) for each in versions if since < each.since]
    return Chart(since, now, top, highest, lines, marks)


def _line(name: str, points: Sequence[Point], since: datetime, top: float) -> Line:
    parts: list[list[str]] = []
    last: datetime | None = None
    for each in points:
        if last is None or each.at - last > _STEP:
            parts.append([])
        last = each.at
        begin, end = (_x(at, since) for at in (each.at, each.at + _STEP))
        y = HEIGHT - HEIGHT * (getattr(each, name) or 0.0) / top
        parts[-1] += [f"{begin:.0f},{y:.1f}", f"{end:.0f},{y:.1f}"]
    return Line(name, [" ".join(part) for part in parts])


def _x(at: datetime, since: datetime) -> float:
    share = (at - since).total_seconds() / (HISTORY_MINUTES * 60)
    return min(max(share, 0.0), 1.0) * WIDTH


def _round_up(seconds: float) -> float:
    """Return the next of 1, 2, 5, 10, 20 ... tenths."""
    unit = 10.0 ** int(log10(seconds) // 1)
    return next(each * unit for each in _NICE if each * unit >= seconds * 0.999)
