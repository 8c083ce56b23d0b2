"""Heartbeats: one row per live process, so that a page can show them without a broker."""

import os
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from events import clock
from events.database import relaxed
from events.tables import Heartbeat

INTERVAL = 5.0  # seconds between two beats
EXPIRES_AFTER = timedelta(hours=1)


def beat(
    name: str,
    kind: str,
    queues: Sequence[str] = (),
    *,
    slots: int = 1,
    trouble: str | None = None,
) -> None:
    """Record that process `name` is alive, in a transaction of its own.

    `kind` is web, relay or worker; `slots` is the number of handlers that it can run at once;
    `trouble` is an error to show beside it.
    """
    now = clock.now()
    with relaxed() as session:
        row = session.get(Heartbeat, name)
        if row is None or row.pid != os.getpid():
            row = session.merge(
                Heartbeat(
                    name=name,
                    kind=kind,
                    queues=list(queues),
                    slots=slots,
                    pid=os.getpid(),
                    started_at=now,
                    last_seen=now,
                )
            )
            session.execute(delete(Heartbeat).where(Heartbeat.last_seen < now - EXPIRES_AFTER))
        row.last_seen, row.skew, row.trouble = now, clock.skew(), trouble


def leave(name: str) -> None:
    """Remove the row of process `name`, which ends."""
    with relaxed() as session:
        session.execute(delete(Heartbeat).where(Heartbeat.name == name))


def alive(session: Session, *, within: float = 3 * INTERVAL) -> Sequence[Heartbeat]:
    """Return the processes seen in the last `within` seconds, by name."""
    since = clock.now() - timedelta(seconds=within)
    return session.scalars(
        select(Heartbeat).where(Heartbeat.last_seen >= since).order_by(Heartbeat.name)
    ).all()


def live_relays(session: Session) -> list[Heartbeat]:
    """Return the relays that are alive, by name. One with `trouble` cannot reach the broker."""
    return [process for process in alive(session) if process.kind == "relay"]
