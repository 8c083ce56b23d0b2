"""The pace of handlers, by which a batch is bounded by time and not only by count.

A transaction of a hundred handlers holds SQLite's only write lock as long as all of them take, and
on every database the rows that they touch. While the pace is not known, `handlers.BATCH_TIME` is
the bound.
"""

TARGET = 0.1  # seconds of one transaction
WEIGHT = 0.3  # of the latest transaction in the average

_seconds: dict[str, float] = {}  # for one delivery, by subscription


def batch_size(
    subscription: str, limit: int, *, target: float = TARGET, first: int | None = None
) -> int:
    """Return the number of deliveries for the next `target` seconds, `limit` at most.

    While nothing is known it is `first`, or the limit.
    """
    seconds = _seconds.get(subscription)
    if not seconds:
        return limit if first is None else min(first, limit)
    return max(1, min(limit, int(target / seconds)))


def learn(subscription: str, deliveries: int, seconds: float) -> None:
    """Take a transaction into the average (an exponential moving one)."""
    latest = seconds / deliveries
    before = _seconds.get(subscription, latest)
    _seconds[subscription] = before + WEIGHT * (latest - before)
