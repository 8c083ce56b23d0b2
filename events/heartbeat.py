"""Heartbeats: one row per live process, so that a page can show them without a broker."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import and_, bindparam, delete, insert, not_, or_, select, update
from sqlalchemy.orm import Session

from events import clock
from events.database import marking
from events.dialects.prepared import Prepared
from events.orm import table_of
from events.tables import Heartbeat, QueueTrouble

INTERVAL = 5.0  # seconds between two beats
EXPIRES_AFTER = timedelta(hours=1)
MAX_AHEAD = timedelta(minutes=5)  # of a process that is alive, on SQLite with another clock

_ROWS = table_of(Heartbeat)
_STATE = (
    *("queues", "trouble", "blocked", "queue_troubles", "deaf", "version"),
    *("last_seen", "skew"),
)
_MINE = _ROWS.c.name == bindparam("me")
_OWN = and_(_MINE, _ROWS.c.pid == bindparam("my_pid"))  # and not another's of the same name
_BEAT = Prepared(
    update(_ROWS).where(_OWN).returning(_ROWS.c.name),
    *("me", "my_pid", *_STATE),
)
_FIRST_BEAT = Prepared(insert(_ROWS), "name", "kind", "slots", "pid", "started_at", *_STATE)
_EXPIRED = not_(_ROWS.c.last_seen.between(bindparam("expired"), bindparam("ahead")))
_REPLACE = Prepared(delete(_ROWS).where(or_(_MINE, _EXPIRED)), "me", "expired", "ahead")
_LEAVE = Prepared(delete(_ROWS).where(_OWN), "me", "my_pid")


def beat(
    name: str,
    kind: str,
    queues: Sequence[str] = (),
    *,
    slots: int = 1,
    trouble: str | None = None,
    blocked: bool = False,
    queue_troubles: Mapping[str, QueueTrouble] = MappingProxyType({}),
    deaf: str | None = None,
    version: str = "",
) -> None:
    """Record that process `name` is alive, in a transaction of its own.

    `kind` is web, relay or worker; `slots` is the number of handlers that it can run at once;
    `trouble` is an error to show beside it, `blocked` if it is that the broker answers and refuses;
    `queue_troubles` are the queues that the broker refuses; `deaf` is the reason why a relay polls
    the database instead of being notified; `version` is that of a worker's application.
    """
    pid = os.getpid()
    values: dict[str, Any] = {
        "trouble": trouble,
        "blocked": blocked,
        "deaf": deaf,
        "queues": list(queues),
        "queue_troubles": dict(queue_troubles),
        "version": version,  # each time: after a crash, a container has the same name and pid
    }
    with marking() as connection:
        now = clock.now()  # not before the connection, which measures the clock
        values |= {"last_seen": now, "skew": clock.skew()}
        if _BEAT.run(connection, me=name, my_pid=pid, **values):
            return
        bounds = {"expired": now - EXPIRES_AFTER, "ahead": now + EXPIRES_AFTER}
        _REPLACE.run(connection, me=name, **bounds)
        first = {"name": name, "kind": kind, "slots": slots, "pid": pid, "started_at": now}
        _FIRST_BEAT.run(connection, **first, **values)


def leave(name: str) -> None:
    """Remove the row of process `name`, which ends."""
    with marking() as connection:
        _LEAVE.run(connection, me=name, my_pid=os.getpid())


def alive(session: Session, *, within: float = 3 * INTERVAL) -> Sequence[Heartbeat]:
    """Return the processes seen in the last `within` seconds, by name.

    One that was seen far in the future has not been seen since the clock went back.
    """
    now = clock.now()
    seen = Heartbeat.last_seen.between(now - timedelta(seconds=within), now + MAX_AHEAD)
    return session.scalars(select(Heartbeat).where(seen).order_by(Heartbeat.name)).all()


def live_relays(session: Session) -> list[Heartbeat]:
    """Return the relays that are alive, by name. One with `trouble` sends nothing."""
    return [process for process in alive(session) if process.kind == "relay"]


def broker_state(relay: Heartbeat) -> Literal["up", "blocked", "down"]:
    """Return the state of the broker as a relay sees it; a blocked one answers and refuses."""
    if relay.trouble is None:
        return "up"
    return "blocked" if relay.blocked else "down"


def queue_troubles(session: Session) -> dict[str, QueueTrouble]:
    """Return the queues that the broker refuses to a live relay, each with the reason and fix."""
    relays = live_relays(session)
    return {queue: each for relay in relays for queue, each in relay.queue_troubles.items()}
