"""The replays that a delivery had, and the one that an attempt belongs to."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from events.replays.tables import ReplayedDelivery


def of_events(
    session: Session, event_ids: Collection[UUID]
) -> dict[tuple[UUID, str], list[ReplayedDelivery]]:
    """Return the replays of the deliveries of these events, each with the first one first."""
    found: defaultdict[tuple[UUID, str], list[ReplayedDelivery]] = defaultdict(list)
    wanted = select(ReplayedDelivery).where(ReplayedDelivery.event_id.in_(event_ids))
    for row in session.scalars(wanted.order_by(ReplayedDelivery.replay_id)):
        found[row.event_id, row.subscription].append(row)
    return found


def of_delivery(session: Session, event_id: UUID, subscription: str) -> list[ReplayedDelivery]:
    """Return the replays of one delivery, the first one first."""
    return of_events(session, [event_id]).get((event_id, subscription), [])


def replay_of(send: int, replays: Sequence[ReplayedDelivery]) -> int | None:
    """Return the number of the replay that caused this send of a delivery, if one did."""
    return max((each.replay_id for each in replays if each.sends < send), default=None)
