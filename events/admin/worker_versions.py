"""The versions of the application that the live workers of each queue have, and since when."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from events import heartbeat


@dataclass(frozen=True)
class WorkerVersion:
    """A version of live workers of a queue; the first of them started at `since`."""

    version: str
    since: datetime
    workers: int


def by_queue(session: Session) -> defaultdict[str, list[WorkerVersion]]:
    """Return the versions of each queue, in the order in which they started."""
    started: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
    for row in heartbeat.alive(session):
        if row.kind == "worker" and row.version:
            for queue in row.queues:
                started[queue, row.version].append(row.started_at)
    found: defaultdict[str, list[WorkerVersion]] = defaultdict(list)
    for (queue, version), times in sorted(started.items(), key=_first):
        found[queue].append(WorkerVersion(version, min(times), len(times)))
    return found


def _first(item: tuple[tuple[str, str], Sequence[datetime]]) -> datetime:
    return min(item[1])
