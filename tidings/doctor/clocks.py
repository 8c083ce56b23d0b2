"""Clock skew between the processes."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import clock
from events.tables import Heartbeat
from tidings.doctor.findings import Finding, or_ok, problem

MAX_SKEW = 2.0  # seconds
FIX = "synchronize the clocks of all machines with NTP"


def check(session: Session) -> Iterator[Finding]:
    """Find processes whose clock is ahead. One whose clock is far behind appears to be dead."""
    yield from or_ok("clock", _ahead(session), "no clock skew between processes")


def _ahead(session: Session) -> Iterator[Finding]:
    now = clock.now()
    rows = session.scalars(
        select(Heartbeat)
        .where(Heartbeat.last_seen > now + timedelta(seconds=MAX_SKEW))
        .order_by(Heartbeat.name)
    )
    for row in rows:
        seconds = (row.last_seen - now).total_seconds()
        yield problem("clock", f"the clock of {row.name} is {seconds:.0f} s ahead", FIX)
