"""Clock skew between the processes."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events import clock
from events.tables import Heartbeat
from tidings.doctor.findings import Finding, or_ok, problem

MAX_SKEW = 2.0  # seconds
RECENT = timedelta(minutes=15)  # the web beats only when it is asked whether it is ready
FIX = "synchronize the clocks of all machines with NTP"


def check(session: Session) -> Iterator[Finding]:
    """Find processes whose clock differs.

    On PostgreSQL they measure that themselves. On SQLite one whose clock is far behind appears to
    be dead.
    """
    found = chain(_ahead(session), _skewed(session))
    yield from or_ok("clock", found, "no clock skew between processes")


def _skewed(session: Session) -> Iterator[Finding]:
    rows = session.scalars(
        select(Heartbeat)
        .where(func.abs(Heartbeat.skew) > MAX_SKEW)
        .where(Heartbeat.last_seen > clock.now() - RECENT)
        .order_by(Heartbeat.name)
    )
    for row in rows:
        direction = "ahead of" if row.skew > 0 else "behind"
        message = f"the clock of {row.name} is {abs(row.skew):.0f} s {direction} the database's"
        yield problem("clock", f"{message}; due times are not affected", FIX)


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
