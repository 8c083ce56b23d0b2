"""The HTTP API for operators: the deliveries of a task message."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from events import reading
from events.admin import task_messages
from web.api import operators
from web.api.ops_schemas import OpsResponse
from web.api.schemas import problems

bp = operators.blueprint("task_messages_api", __name__)


class TaskPath(BaseModel):
    """The task of the address."""

    task_id: str = Field(description="as Flower shows it")


class MessageDeliveryOut(OpsResponse):
    """A delivery of a task message, in its present state."""

    id: str
    event_id: UUID
    event_type: str
    subject: str | None
    state: str
    in_this_task: str = Field(description="its outcome in this task, in words")
    attempt: int | None = Field(description="the number of the attempt that failed in this task")
    error: str | None
    again: str | None = Field(description="the id of a later task that it was sent in")
    done_at: datetime | None


class TaskMessageOut(OpsResponse):
    """A task message with its deliveries."""

    id: str
    subscription: str
    send: int
    part: bool = Field(description="true if not all deliveries could be searched")
    deliveries: list[MessageDeliveryOut]


@bp.get("/tasks/<task_id>", responses={200: TaskMessageOut, **problems(404)})
def show_task(path: TaskPath) -> dict[str, Any]:
    """Show the deliveries of a task message, which is a row of Flower."""
    with reading() as session:
        found = task_messages.show(session, path.task_id)
    return TaskMessageOut.model_validate(found).model_dump(mode="json")
