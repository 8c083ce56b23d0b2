"""The one clock of the bus: that of the database, or one that a test moves.

Machines' clocks differ, and a due time that one of them writes is compared by another. So each
process measures how far its own clock is from PostgreSQL's, with statements that it sends anyway,
and again before the next one if its machine's clock was set meanwhile. SQLite has no clock but the
machine's.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SYNC_INTERVAL = 10.0  # seconds after which the difference is measured again
MAX_STEP = 1.0  # seconds by which the machine's clock may pass faster or slower than time
_NONE = timedelta()
_source: Callable[[], datetime] | None = None
_skew = _NONE  # by which this machine's clock is ahead of the database's
_measured_at = _NEVER = float("-inf")
_machine_at = 0.0  # the machine's time at that moment, in seconds since 1970


def now() -> datetime:
    """Return the present moment by the clock of the database, in UTC."""
    if _source:
        return _source()
    return datetime.now(UTC) - _skew if _skew else datetime.now(UTC)


def machine_now() -> datetime:
    """Return the present moment by this machine's own clock, in UTC."""
    return _source() if _source else datetime.now(UTC)


def is_within(span: timedelta, begin: datetime, now: datetime) -> bool:
    """Tell whether less than `span` has passed; a begin in the future is of another clock."""
    return timedelta() <= now - begin < span


def skew() -> float:
    """Return the seconds by which this machine's clock is ahead of the database's."""
    return _skew.total_seconds()


def is_measured() -> bool:
    """Tell whether the difference was measured within `SYNC_INTERVAL`, and is so still."""
    return time.monotonic() - _measured_at < SYNC_INTERVAL and is_known()


def is_known() -> bool:
    """Tell whether the difference was measured in this process, or its parent, and is so still.

    It is another one once the machine's clock is set.
    """
    if _measured_at == _NEVER:
        return False
    passed = time.monotonic() - _measured_at
    return abs(time.time() - _machine_at - passed) < MAX_STEP


def was_set() -> bool:
    """Tell whether this machine's clock was set since the difference was measured."""
    return _measured_at != _NEVER and not is_known()


def measure(ask: Callable[[], datetime]) -> None:
    """Measure the difference; `ask` returns the database's time.

    It stays as it is while the answer lies between question and answer, so that the clock does not
    move to and fro with the network.
    """
    global _skew, _measured_at, _machine_at
    before = datetime.now(UTC)
    server = ask()
    after = datetime.now(UTC)
    _measured_at, _machine_at = time.monotonic(), time.time()
    if not before - _skew <= server <= after - _skew:
        difference = before + (after - before) / 2 - server
        _skew = _NONE if before <= server <= after else difference


def follow(source: Callable[[], datetime] | None) -> None:
    """Take the time from `source` in this process; `None` goes back to the database's clock."""
    global _source
    _source = source
