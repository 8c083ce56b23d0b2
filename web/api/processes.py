"""The HTTP API for operators: the live processes."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from events import heartbeat, reading
from web.api import operators
from web.api.ops_schemas import OpsResponse

bp = operators.blueprint("processes_api", __name__)


class ProcessOut(OpsResponse):
    """A process that has sent a heartbeat lately."""

    name: str
    kind: str = Field(examples=["worker", "relay", "web"])
    queues: list[str] = Field(description="that a worker consumes")
    version: str = Field(description="of a worker's application; empty if it is not known")
    started_at: datetime
    last_seen: datetime
    trouble: str | None


class Processes(BaseModel):
    """All live processes."""

    processes: list[ProcessOut]


@bp.get("/processes", responses={200: Processes})
def list_processes() -> dict[str, Any]:
    """List the live processes by name; workers tell the version of their application."""
    with reading() as session:
        lines = [ProcessOut.model_validate(each) for each in heartbeat.alive(session)]
    return Processes(processes=lines).model_dump(mode="json")
