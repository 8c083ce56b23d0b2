"""The replay of an order: a job with each of its dead letters."""

from sqlalchemy.orm import Session

from events.admin import dead_letters, replays
from events.errors import NothingToReplay
from events.replays.tables import Replay
from tasks import orders


def replay(session: Session, order_id: str, *, who: str, why: str) -> Replay:
    """Start the replay of an order's dead letters.

    Raises `UnknownOrder`, `NothingToReplay`, and as `replays.start` does.
    """
    order = orders.find(session, order_id)
    dead = dead_letters.about(session, order.number)
    if not dead:
        raise NothingToReplay(f"{order.number} has no dead letter")
    return replays.start(session, who=who, why=why, ids=dead)
