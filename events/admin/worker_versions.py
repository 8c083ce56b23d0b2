"""The versions of the application that the workers of each queue have, and since when.

A worker that starts with another version than the one before it on its queue leaves a row, so that
a restart with the same version is no change, and a version is known when its workers are gone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from events import clock, heartbeat
from events.database import marking
from events.dialects.prepared import Prepared
from events.orm import table_of
from events.tables import VersionStart

RETENTION = timedelta(days=30)
RECENT = timedelta(hours=6)  # as long as the chart
_ROWS = table_of(VersionStart)
_THEIRS = _ROWS.c.queue == bindparam("of")
_LATEST = Prepared(
    select(_ROWS.c.version).where(_THEIRS).order_by(_ROWS.c.at.desc()).limit(1), "of"
)
_START = Prepared(insert(_ROWS), "queue", "at", "version")
_PRUNE = Prepared(delete(_ROWS).where(_THEIRS, _ROWS.c.at < bindparam("before")), "of", "before")


@dataclass(frozen=True)
class WorkerVersion:
    """A version of workers of a queue, since the first of them started with it.

    `workers` are those that are alive: none of a version that was replaced meanwhile.
    """

    version: str
    since: datetime
    workers: int


def record(queues: Iterable[str], version: str) -> None:
    """Note that a worker of these queues starts, if the latest one had another version."""
    with marking() as connection:
        now = clock.now()  # not before the connection, which measures the clock
        for queue in queues:
            if any(latest == version for (latest,) in _LATEST.run(connection, of=queue)):
                continue
            _START.run(connection, queue=queue, at=now, version=version)
            _PRUNE.run(connection, of=queue, before=now - RETENTION)


def by_queue(session: Session) -> defaultdict[str, list[WorkerVersion]]:
    """Return the versions of live workers, and those that started of late, the first one first."""
    found: defaultdict[str, list[WorkerVersion]] = defaultdict(list)
    live, began = _live(session)
    recent = clock.now() - RECENT
    for row in session.scalars(select(VersionStart).order_by(VersionStart.at.desc())):
        workers = live.pop((row.queue, row.version), 0)
        if workers or row.at > recent:
            found[row.queue].append(WorkerVersion(row.version, row.at, workers))
    for (queue, version), workers in live.items():  # without a row: of an older release
        found[queue].append(WorkerVersion(version, began[queue, version], workers))
    for versions in found.values():
        versions.sort(key=lambda each: each.since)
    return found


def _live(session: Session) -> tuple[Counter[tuple[str, str]], dict[tuple[str, str], datetime]]:
    """Return the number of live workers by queue and version, and when the first one started."""
    workers, began = Counter[tuple[str, str]](), dict[tuple[str, str], datetime]()
    for row in heartbeat.alive(session):
        if row.kind == "worker" and row.version:
            for queue in row.queues:
                key = queue, row.version
                workers[key] += 1
                began[key] = min(row.started_at, began.get(key, row.started_at))
    return workers, began
