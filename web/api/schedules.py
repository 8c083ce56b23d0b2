"""The HTTP API for operators: the schedules."""

from datetime import datetime
from typing import Any

from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from events import reading
from events.admin import schedules
from web.api.openapi import OPS_AUTH
from web.api.ops import OPS
from web.api.ops_schemas import OpsResponse
from web.api.schemas import problems
from web.security import require_ops

bp = APIBlueprint(
    "schedules_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[OPS],
    abp_security=OPS_AUTH,
    abp_responses=problems(401, 422, 429, 500, 503),
)


class ScheduleOut(OpsResponse):
    """An entry that publishes an event at each of its due times."""

    name: str
    due: str = Field(examples=["0 3 * * * Europe/Berlin", "every 0:05:00"])
    missed: str = Field(examples=["all", "latest", "skip"])
    event_type: str
    next_due_at: datetime
    last_due_at: datetime | None = Field(description="the last due time that was published")
    trouble: str = Field(description="empty if there is none")


class Schedules(BaseModel):
    """All schedules."""

    schedules: list[ScheduleOut]


@bp.before_request
@require_ops
def log_in() -> None:
    """Require the ops login before the request is validated."""


@bp.get("/schedules", responses={200: Schedules})
def list_schedules() -> dict[str, Any]:
    """List the schedules, the next ones first."""
    with reading() as session:
        lines = [ScheduleOut.model_validate(line) for line in schedules.listed(session)]
    return Schedules(schedules=lines).model_dump(mode="json")
