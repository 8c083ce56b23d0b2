"""The HTTP API for operators: the circuit breakers."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import BaseModel, Field

from events import reading, transaction
from events.admin import breakers
from web.api import operators
from web.api.operators import change_problems
from web.api.ops_schemas import Because, Changed, Name, OpsResponse
from web.api.schemas import Parameters
from web.security import operator_name

bp = operators.blueprint("breakers_api", __name__)


class BreakerOut(OpsResponse):
    """The circuit breaker of a dependency."""

    dependency: str = Field(examples=["payment"])
    state: str = Field(examples=list(breakers.STATES))
    since: datetime | None = Field(description="the latest change of the state")
    next_probe_at: datetime | None = Field(description="nothing unless it is open")
    failed_probes: int
    error: str | None = Field(description="the latest that said that it is unavailable")
    who: str | None = Field(description="the person who holds it, or closed it last")
    why: str | None
    subscriptions: list[str]
    waiting: int = Field(description="deliveries that it holds back")
    replays: bool = Field(description="what died of it, when it is available again")


class Breakers(BaseModel):
    """All circuit breakers."""

    breakers: list[BreakerOut]


class SwitchBody(Because):
    """The switch of the automatic replay, with the reason."""

    on: bool


class DependencyPath(Parameters):
    """The dependency in the address."""

    dependency: Name


@bp.get("/breakers", responses={200: Breakers})
def list_breakers() -> dict[str, Any]:
    """List the circuit breakers, those first that hold deliveries back."""
    with reading() as session:
        lines = [BreakerOut.model_validate(line) for line in breakers.listed(session)]
    return Breakers(breakers=lines).model_dump(mode="json")


@bp.post("/breakers/<dependency>/hold", responses={200: Changed, **change_problems()})
def hold(path: DependencyPath, body: Because) -> dict[str, Any]:
    """Let the deliveries of a dependency wait, without probes, until it is closed."""
    return _change(breakers.hold, path.dependency, body.why)


@bp.post("/breakers/<dependency>/close", responses={200: Changed, **change_problems()})
def close(path: DependencyPath, body: Because) -> dict[str, Any]:
    """Send the deliveries of a dependency; the breaker opens again at the first failure."""
    return _change(breakers.close, path.dependency, body.why)


@bp.post("/breakers/<dependency>/replays", responses={200: Changed, **change_problems()})
def switch_replays(path: DependencyPath, body: SwitchBody) -> dict[str, Any]:
    """Switch the automatic replay of what died of a dependency, when it is available again."""
    return _change(partial(breakers.switch_replays, on=body.on), path.dependency, body.why)


def _change(act: Callable[..., bool], dependency: str, why: str) -> dict[str, Any]:
    with transaction() as session:
        changed = act(session, dependency, who=operator_name(), why=why)
    return Changed(changed=int(changed)).model_dump(mode="json")
