"""Requests and responses of the replays' API as models, like `web.api.ops_schemas`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from events.inputs import FROM_DIGITS, MAX_INTEGER, PlainText
from events.replays.steps import (
    CANARY_STEPS,
    MAX_IDS,
    MAX_RATE,
    MAX_STEP,
    MAX_STEPS,
    MIN_RATE,
    STOP_ABOVE,
    Pace,
)
from events.replays.tables import Replay
from web.api.ops_schemas import (
    DeliveryId,
    Fingerprint,
    Limit,
    Name,
    WhyText,
)
from web.api.schemas import Parameters
from web.api.selections import refuse_mixture

EventType = Annotated[str, PlainText(200)]
StepSize = Annotated[int, Field(ge=1, le=MAX_STEP)]


Canary = bool | Annotated[list[StepSize], Field(max_length=MAX_STEPS)]


def _checked_canary(value: Any, check: ValidatorFunctionWrapHandler) -> Canary:
    """Refuse a canary in words: the errors of a union name each of its types."""
    try:
        return cast("Canary", check(value))
    except ValidationError:
        rule = f"give true, or at most {MAX_STEPS} sizes of steps from 1 to {MAX_STEP}"
        raise ValueError(rule) from None


class PaceBody(BaseModel):
    """The pace of a job."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rate: Annotated[float, Field(ge=MIN_RATE, le=MAX_RATE)] | None = Field(
        default=None, description="deliveries per second; without it as fast as they are handled"
    )
    canary: Annotated[Canary, WrapValidator(_checked_canary)] = Field(
        default=False,
        description="true for steps of 1, 5, 25 and then all others, or the sizes of the steps; "
        "each begins when the one before is settled",
    )
    stop_above: Annotated[float, Field(ge=0, le=1)] = Field(
        default=STOP_ABOVE, description="the job stops when a larger share of a step dies again"
    )

    def pace(self) -> Pace:
        """Return the pace of the job."""
        sizes = self.canary if isinstance(self.canary, list) else CANARY_STEPS * self.canary
        return Pace(tuple(sizes), self.rate, self.stop_above)


class AgainBody(PaceBody):
    """The pace of a job that replays what another one has left, with the reason."""

    why: WhyText


class NewReplay(PaceBody):
    """A job to start: dead letters by id or filters, or a subscription to backfill."""

    kind: Literal["replay", "backfill"] = "replay"
    ids: list[DeliveryId] | None = Field(default=None, min_length=1, max_length=MAX_IDS)
    queue: Name | None = None
    subscription: Name | None = None
    fingerprint: Fingerprint | None = None
    everything: bool = False
    event_type: EventType | None = Field(default=None, description="of a backfill only")
    why: WhyText

    @model_validator(mode="after")
    def require_selection(self) -> "NewReplay":
        """Refuse a body that selects nothing, or in a way that its kind does not have."""
        filters = (self.ids, self.queue, self.fingerprint, self.everything or None)
        if self.kind == "backfill":
            if self.subscription is None or any(each is not None for each in filters):
                raise ValueError("a backfill takes a subscription, and an event_type if you like")
        elif self.event_type is not None:
            raise ValueError("event_type is for a backfill; add kind: backfill")
        elif not any(each is not None for each in (*filters, self.subscription)):
            raise ValueError(
                "the body selects no dead letters; give ids, a queue, a subscription or a "
                "fingerprint, or everything: true"
            )
        if self.kind == "replay":
            named = (self.queue, self.subscription, self.fingerprint)
            refuse_mixture(ids=self.ids, filters=named, everything=self.everything)
        return self

    def selection(self) -> dict[str, Any]:
        """Return the selection of dead letters."""
        names = {"ids", "queue", "subscription", "fingerprint", "everything"}
        return self.model_dump(include=names)


class ReplayPath(Parameters):
    """The replay in the address."""

    number: Annotated[int, Field(ge=1, le=MAX_INTEGER), FROM_DIGITS]


class ReplayQuery(Parameters):
    """A part of the list of replays: `limit` jobs below the number `before`."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = 50
    before: Annotated[int, Field(ge=1, le=MAX_INTEGER), FROM_DIGITS] | None = None


class StepOut(BaseModel):
    """A step of a job; the last one has no size: it is all others."""

    size: int | None
    released: int
    done: int
    failed: int
    skipped: int
    began_at: str | None


class ReplayOut(BaseModel):
    """A job and its progress."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: str
    state: Literal["running", "paused", "stopped", "done"]
    selection: dict[str, Any]
    total: int = Field(description="the deliveries that were selected when it began")
    released: int = Field(description="given back so far")
    done: int = Field(description="of these, handled")
    failed: int = Field(description="of these, dead again")
    skipped: int = Field(description="settled by somebody else meanwhile")
    step: int = Field(description="the present step, counted from 0")
    steps: list[StepOut]
    rate: float | None
    stop_above: float
    stopped_because: str | None
    who: str
    why: str
    created_at: datetime
    ended_at: datetime | None
    seconds_left: float | None = Field(default=None, description="an estimate, if there is one")


class Replays(BaseModel):
    """A page of replays, the newest first."""

    replays: list[ReplayOut]
    next: str | None = Field(default=None, description="the address of the next, older page")


def replay_out(job: Replay, seconds_left: float | None) -> ReplayOut:
    """Return a job as the API shows it."""
    return ReplayOut.model_validate(job).model_copy(update={"seconds_left": seconds_left})


def older(rows: Iterable[Replay], limit: int) -> int | None:
    """Return the number below which the next page begins, if this one is full."""
    found = list(rows)
    return found[-1].id if len(found) == limit else None
