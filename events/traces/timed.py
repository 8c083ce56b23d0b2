"""A trace with its times: each event, and each of its deliveries in segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from events.admin import trace
from events.admin.trace import TracedDelivery, TracedEvent
from events.envelope import Envelope
from events.tables import LogEntry
from events.traces import holds, segments
from events.traces.segments import Segment


@dataclass(frozen=True)
class Track:
    """A delivery with its segments, from its event to its end or to now."""

    delivery: TracedDelivery
    segments: list[Segment]

    @property
    def start(self) -> datetime:
        """The time of its event."""
        return self.segments[0].start

    @property
    def end(self) -> datetime:
        """The time at which it was settled, or now."""
        return self.segments[-1].end


@dataclass(frozen=True)
class TimedEvent:
    """An event, at a time that is not before that of its cause, with its deliveries."""

    envelope: Envelope
    at: datetime
    relayed: bool
    tracks: list[Track]
    until: datetime  # now while the relay has not taken it


def of(session: Session, subject: str, *, now: datetime) -> list[TimedEvent]:
    """Return every event about `subject`, oldest first; what is open goes on until `now`."""
    traced = trace.of(session, subject)
    names = {delivery.subscription for event in traced for delivery in event.deliveries}
    reasons = holds.of_subscriptions(session, names)
    relayed = _relayed(session, [event.envelope.id for event in traced])
    times = _times(traced)
    found = []
    for event in traced:
        at, is_relayed = times[event.envelope.id], event.envelope.id in relayed
        tracks = []
        for each in event.deliveries:
            parts = segments.of(each, since=at, now=now, holds=reasons.get(each.subscription, ()))
            tracks.append(Track(each, parts))
        until = at if is_relayed else max(at, now)
        found.append(TimedEvent(event.envelope, at, is_relayed, tracks, until))
    return found


def _relayed(session: Session, ids: Sequence[UUID]) -> set[UUID]:
    wanted = select(LogEntry.id).where(LogEntry.id.in_(ids), LogEntry.relayed_at.is_not(None))
    return set(session.scalars(wanted))


def _times(traced: Sequence[TracedEvent]) -> dict[UUID, datetime]:
    """Return the time of each event; the clock of its machine may be behind that of its cause."""
    times: dict[UUID, datetime] = {}
    for event in traced:
        envelope = event.envelope
        cause = times.get(envelope.causation_id) if envelope.causation_id else None
        times[envelope.id] = max(envelope.time, cause) if cause else envelope.time
    return times
