"""The segments of a delivery: what it did and what it waited for, one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from events.admin.trace import TracedDelivery
from events.ledger import State
from events.replays.tables import ReplayedDelivery
from events.tables import Attempt
from events.traces.holds import Hold

MAX_ERROR = 200  # characters


class Kind(StrEnum):
    """The kind of a segment."""

    WAITING = "waiting"  # until it is sent: its turn, the next attempt, or its dependency
    IN_FLIGHT = "in flight"  # sent, and not settled yet
    FAILED = "failed"  # an attempt that failed
    HANDLED = "handled"  # from the send on: no time is written when a handler begins
    DEAD = "dead"  # a dead letter, until a person replays or discards it


@dataclass(frozen=True)
class Segment:
    """A part of the time of one delivery."""

    kind: Kind
    start: datetime
    end: datetime
    text: str

    @property
    def took(self) -> float:
        """Its length in seconds."""
        return (self.end - self.start).total_seconds()


def of(
    delivery: TracedDelivery, *, since: datetime, now: datetime, holds: Sequence[Hold] = ()
) -> list[Segment]:
    """Return the segments of a delivery from its event to its end, or to `now`; at least one.

    They adjoin each other. The clocks of several machines wrote the times: one that lies before
    the one that it must follow is moved to it.
    """
    found: list[Segment] = []
    at = since
    for step in _steps(delivery):
        found += _attempt(step, at) if isinstance(step, Attempt) else [_replay(step, at)]
        at = found[-1].end
    found += _end(delivery, at, max(at, now), found)
    kept = [each for each in found if each.took or each.kind in (Kind.FAILED, Kind.HANDLED)]
    return [_with_hold(each, holds) for each in kept or found[-1:]]


def clipped(segments: Sequence[Segment], start: datetime, end: datetime) -> Iterator[Segment]:
    """Yield the parts of the segments that lie between two times."""
    for each in segments:
        part = replace(each, start=max(each.start, start), end=min(each.end, end))
        if part.start < part.end:
            yield part


def _steps(delivery: TracedDelivery) -> list[Attempt | ReplayedDelivery]:
    """Return failed attempts and replays in the order of their times."""
    timed: list[tuple[datetime, Attempt | ReplayedDelivery]] = [
        *((each.started_at, each) for each in delivery.failed_attempts),
        *((each.released_at, each) for each in delivery.replays),
    ]
    return [each for _, each in sorted(timed, key=lambda pair: pair[0])]


def _attempt(attempt: Attempt, at: datetime) -> list[Segment]:
    start = max(at, attempt.started_at)
    end = max(start, attempt.started_at + timedelta(seconds=attempt.took))
    error = f"{attempt.error_type}: {attempt.message}".partition("\n")[0][:MAX_ERROR]
    before = "waiting to be sent" if attempt.number == 1 else f"before attempt {attempt.number}"
    return [
        Segment(Kind.WAITING, at, start, before),
        Segment(Kind.FAILED, start, end, f"attempt {attempt.number}: {error}"),
    ]


def _replay(replay: ReplayedDelivery, at: datetime) -> Segment:
    end = max(at, replay.released_at)
    if not replay.sends:  # a backfill: there was no delivery before
        return Segment(Kind.WAITING, at, end, f"until backfill {replay.replay_id}")
    return Segment(Kind.DEAD, at, end, f"dead letter, until replay {replay.replay_id}")


def _end(
    delivery: TracedDelivery, at: datetime, now: datetime, before: Sequence[Segment]
) -> list[Segment]:
    """Return what follows the last failed attempt or replay."""
    waits = "waiting to be sent"
    if before and before[-1].kind == Kind.FAILED:
        waits = f"before attempt {delivery.attempts + 1}"
    end = max(at, delivery.done_at) if delivery.done_at else now
    sent = min(max(at, delivery.sent_at), end) if delivery.sent_at else end
    if delivery.state == State.DEAD:
        return [Segment(Kind.DEAD, at, now, "dead letter, until it is replayed or discarded")]
    if delivery.state == State.DISCARDED:
        kind = Kind.DEAD if delivery.died_at else Kind.WAITING
        return [Segment(kind, at, end, "until it was discarded")]
    if delivery.state == State.DONE:
        return [Segment(Kind.WAITING, at, sent, waits), Segment(Kind.HANDLED, sent, end, "handled")]
    if delivery.sent_at is None:
        return [Segment(Kind.WAITING, at, end, waits)]
    in_flight = Segment(Kind.IN_FLIGHT, sent, end, "sent, and not settled yet")
    return [Segment(Kind.WAITING, at, sent, waits), in_flight]


def _with_hold(segment: Segment, holds: Sequence[Hold]) -> Segment:
    """Name the reason of a wait that is at least half of it."""
    if segment.kind != Kind.WAITING or not holds:
        return segment
    longest = max(holds, key=lambda hold: hold.overlap(segment.start, segment.end))
    if longest.overlap(segment.start, segment.end) * 2 < segment.took:
        return segment
    return replace(segment, text=f"waiting: {longest.text}")
