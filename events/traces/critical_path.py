"""The critical path of a trace: the chain of events and deliveries that took the time.

It is found from the end backwards: a delivery was begun by its event, and that by the delivery
that published it. Where an event has no cause in the trace, such as a request of a person, the path
goes on with the delivery that was under way, or had ended last. So it has no gap, and the times of
its legs add up to the whole time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from events.admin.trace import TracedDelivery
from events.ledger import State
from events.traces.segments import Kind, Segment, clipped
from events.traces.timed import TimedEvent, Track

_GIVEN_UP = (State.DEAD, State.DISCARDED)


@dataclass(frozen=True)
class Leg:
    """A part of the path: in a delivery, before the relay has an event, or without any work."""

    event: TimedEvent | None
    track: Track | None
    start: datetime
    end: datetime

    def segments(self) -> list[Segment]:
        """Return what this leg's delivery did meanwhile."""
        if self.track is not None:
            return _filled(list(clipped(self.track.segments, self.start, self.end)), self.end)
        return [Segment(Kind.WAITING, self.start, self.end, self._reason())]

    def _reason(self) -> str:
        if self.event is None:
            return "nothing to do until the next request"
        return "no delivery is kept" if self.event.relayed else "until the relay takes it"


def _filled(parts: list[Segment], end: datetime) -> list[Segment]:
    """Let the last part last until `end`: the effect of a delivery comes just after its mark."""
    if not parts or parts[-1].end >= end:
        return parts
    last = parts[-1]
    return [*parts[:-1], Segment(last.kind, last.start, end, last.text)]


def find(
    events: Sequence[TimedEvent], counts: Callable[[TracedDelivery], bool], *, settled: bool = False
) -> list[Leg]:
    """Return the critical path to the latest end of a delivery that `counts`, the first leg first.

    An event that is not relayed counts too. If all is `settled`, what is dead or discarded is no
    end, for nothing waits for it.
    """
    return list(_Search(events, counts, settled=settled).legs())[::-1]


class _Search:
    def __init__(
        self,
        events: Sequence[TimedEvent],
        counts: Callable[[TracedDelivery], bool],
        *,
        settled: bool,
    ) -> None:
        self._settled = settled
        self._by_id: dict[UUID, TimedEvent] = {each.envelope.id: each for each in events}
        self._tracks = [
            (event, track) for event in events for track in event.tracks if counts(track.delivery)
        ]

    def legs(self) -> Iterator[Leg]:
        """Yield the legs, the last one first."""
        ends = self._ends()
        if not ends:
            return
        event, track, end = max(ends, key=lambda each: each[2])
        found: tuple[TimedEvent, Track | None] | None = (event, track)
        seen: set[UUID] = set()
        while found is not None and found[0].envelope.id not in seen:
            event, track = found
            seen.add(event.envelope.id)
            start = min(event.at, end)
            yield Leg(event, track, start, end)
            found, end = self._publisher(event), start
            if found is None and (found := self._under_way(start)) is not None:
                ended = min(found[1].end, start)
                if ended < start:
                    yield Leg(None, None, ended, start)
                end = ended

    def _ends(self) -> list[tuple[TimedEvent, Track | None, datetime]]:
        """Return where the path can end: what counts, and what the relay has not taken."""
        ends: list[tuple[TimedEvent, Track | None, datetime]] = [
            (event, track, track.end)
            for event, track in self._tracks
            if not (self._settled and track.delivery.state in _GIVEN_UP)
        ]
        every = self._by_id.values()
        return ends + [(each, None, each.until) for each in every if not ends or not each.relayed]

    def _publisher(self, event: TimedEvent) -> tuple[TimedEvent, Track | None] | None:
        """Return the delivery that published an event, of the service that is its source."""
        cause_id = event.envelope.causation_id
        cause = self._by_id.get(cause_id) if cause_id else None
        if cause is None:
            return None
        tracks = [each for each in cause.tracks if each.delivery.queue == event.envelope.source]
        return cause, min(tracks, key=lambda each: abs(each.end - event.at), default=None)

    def _under_way(self, at: datetime) -> tuple[TimedEvent, Track] | None:
        """Return what was under way at a time for longest, or else had ended last."""
        before = [(event, track) for event, track in self._tracks if track.start < at]
        return max(
            before, key=lambda each: (min(each[1].end, at), at - each[1].start), default=None
        )
