"""Slots: the handlers that can run at once on a queue, and the messages in flight for them."""

from collections import Counter

from sqlalchemy.orm import Session

from events import heartbeat

MESSAGES = 2  # in flight for a subscription whose queue has one worker slot
MESSAGES_PER_SLOT = 2  # one is handled, the next one waits for it


def window(slots: int) -> int:
    """Return the number of messages of a subscription that may be in flight."""
    return max(MESSAGES, MESSAGES_PER_SLOT * slots)


def slots_by_queue(session: Session) -> Counter[str]:
    """Return the number of handlers that can run at once on each queue, from the heartbeats."""
    slots: Counter[str] = Counter()
    for worker in heartbeat.alive(session):
        slots.update(dict.fromkeys(worker.queues, worker.slots))
    return slots
