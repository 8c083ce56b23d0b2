"""The one clock of the bus, so that a test can move time."""

from collections.abc import Callable
from datetime import UTC, datetime

_source: Callable[[], datetime] | None = None


def now() -> datetime:
    """Return the present moment, in UTC."""
    return _source() if _source else datetime.now(UTC)


def follow(source: Callable[[], datetime] | None) -> None:
    """Take the time from `source` in this process; `None` goes back to the machine's clock."""
    global _source
    _source = source
