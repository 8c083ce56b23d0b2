"""The HTTP API for operators: the figures of queues and subscriptions."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from events import reading
from events.admin import queues, stats
from events.admin.stats import QueueStats
from tasks.worker_command import worker_command
from web.api import operators
from web.api.ops_schemas import OpsResponse

bp = operators.blueprint("stats_api", __name__)

_SECONDS = "seconds from commit to effect in the last hour, of so many percent of the deliveries"


class FiguresOut(OpsResponse):
    """The figures of a subscription, or of a queue."""

    name: str
    queue: str
    state: str = Field(description="paused, refused, no worker, breaker open or ok")
    waiting: int
    in_flight: int = Field(description="in a task message, or with a worker")
    retrying: int
    dead: int
    oldest: float | None = Field(description="age in seconds of the oldest open delivery")
    per_minute: float = Field(description="handled in a minute, over the last five")
    p50: float | None = Field(description=_SECONDS)
    p95: float | None = Field(description=_SECONDS)
    p99: float | None = Field(description=_SECONDS)
    handled: int
    failed: int = Field(description="attempts")
    retried: int
    died: int
    replayed: int
    window: int = Field(description="task messages that may be in flight")
    workers: int
    paused: bool


class PointOut(BaseModel):
    """The deliveries that were handled in five minutes, and their times in seconds."""

    at: datetime
    handled: int
    p50: float | None
    p95: float | None
    p99: float | None


class WorkerVersionOut(BaseModel):
    """A version of the application that workers of the queue have, or had in the last hours."""

    version: str
    since: datetime = Field(description="when the first of them started with it")
    workers: int = Field(description="alive; none if the version was replaced meanwhile")


class QueueStatsOut(FiguresOut):
    """The figures of a queue and its subscriptions, and its history of six hours."""

    trouble: str | None = Field(description="why the broker refuses the queue")
    fix: str | None = Field(description="what to do about the trouble")
    start: str | None = Field(description="the command that starts a worker, if none is alive")
    subscriptions: list[FiguresOut]
    versions: list[WorkerVersionOut] = Field(description="the one that started first comes first")
    history: list[PointOut] = Field(description="without the five minutes in which none was")


class Stats(BaseModel):
    """The figures of all queues, and of the relay."""

    unrelayed: int = Field(description="events that the relay has not fanned out")
    relay_lag: float = Field(description="age in seconds of the oldest of them")
    queues: list[QueueStatsOut]


@bp.get("/stats", responses={200: Stats})
def show_stats() -> dict[str, Any]:
    """Show backlog, speed and history of all queues and subscriptions, to chart and to compare.

    `GET /queues` is the short list of the queues with what keeps them from working.
    """
    with reading() as session:
        found = Stats(
            unrelayed=queues.unrelayed(session),
            relay_lag=queues.relay_lag(session),
            queues=[_queue(each) for each in stats.read(session)],
        )
    return found.model_dump(mode="json")


def _queue(each: QueueStats) -> QueueStatsOut:
    view = each.view
    return QueueStatsOut.model_validate(
        asdict(each.figures)
        | {
            "trouble": view.trouble,
            "fix": view.fix,
            "start": None if view.workers else worker_command(view.name),
            "subscriptions": [asdict(line) for line in each.subscriptions],
            "versions": [asdict(found) for found in each.versions],
            "history": [asdict(point) for point in each.history],
        }
    )
