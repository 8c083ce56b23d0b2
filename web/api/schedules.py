"""The HTTP API for operators: the schedules."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from events import reading
from events.admin import schedules
from web.api import operators
from web.api.ops_schemas import OpsResponse

bp = operators.blueprint("schedules_api", __name__)


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


@bp.get("/schedules", responses={200: Schedules})
def list_schedules() -> dict[str, Any]:
    """List the schedules, the next ones first."""
    with reading() as session:
        lines = [ScheduleOut.model_validate(line) for line in schedules.listed(session)]
    return Schedules(schedules=lines).model_dump(mode="json")
