"""Requests and responses of the API that repairs dead letters as models."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from events.admin.edits import MAX_EDITS, Change, patched_by, replaced_by
from events.dry_runs.process import MAX_AT_ONCE
from events.dry_runs.result import DryRun
from events.inputs import REASON, PlainText
from tasks.dry_runs import SAMPLE
from web.api.ops_schemas import (
    DeliveryId,
    Fingerprint,
    Name,
    OpsResponse,
)
from web.api.schemas import WHY
from web.api.selections import refuse_mixture

OptionalWhy = Annotated[str, REASON, WHY, Field(description="the reason; a preview needs none")]
Patch = Annotated[list[dict[str, Any]], Field(min_length=1, max_length=100)]


class DryRunBody(BaseModel):
    """The answer to the calls, which a dry run does not make."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: Annotated[str, PlainText(100)] | None = Field(
        default=None,
        description="the name of the example answer with which the handler goes on; the first one "
        "without it",
        examples=["declined"],
    )


class SampleBody(DryRunBody):
    """A sample of the dead letters that match each given filter, or some by id."""

    ids: list[DeliveryId] | None = Field(default=None, min_length=1, max_length=MAX_AT_ONCE)
    queue: Name | None = None
    subscription: Name | None = None
    fingerprint: Fingerprint | None = None
    sample: int = Field(default=SAMPLE, ge=1, le=MAX_AT_ONCE, description="how many are run")

    @model_validator(mode="after")
    def require_selection(self) -> "SampleBody":
        """Refuse a body that selects nothing, or in two ways."""
        if bool(self.ids) == bool(self.queue or self.subscription or self.fingerprint):
            raise ValueError("give ids, or else a queue, a subscription or a fingerprint")
        return self


class DryRuns(BaseModel):
    """The effects that the handlers of several dead letters would have, the latest death first."""

    dry_runs: list[DryRun]


class EditBody(BaseModel):
    """The correction of a payload: the whole of it, or a JSON Patch (RFC 6902)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    data: dict[str, Any] | None = Field(default=None, description="the whole payload, corrected")
    patch: Patch | None = Field(
        default=None, examples=[[{"op": "replace", "path": "/payment_token", "value": "tok_ok"}]]
    )
    preview: bool = Field(default=False, description="only check it, and show the difference")
    why: OptionalWhy = ""

    @model_validator(mode="after")
    def require_one(self) -> "EditBody":
        """Refuse a body without a correction, or with two."""
        if (self.data is None) == (self.patch is None):
            raise ValueError("give data, which is the whole payload, or a patch, and not both")
        return self

    def change(self) -> Change:
        """Return the change that it describes."""
        return patched_by(self.patch) if self.patch is not None else replaced_by(self.data or {})


class GroupEditBody(BaseModel):
    """The same JSON Patch for several dead letters, by id or by filters that all must match."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: list[DeliveryId] | None = Field(default=None, min_length=1, max_length=MAX_EDITS)
    queue: Name | None = None
    subscription: Name | None = None
    fingerprint: Fingerprint | None = None
    patch: Patch
    preview: bool = Field(default=False, description="only check it, and show the differences")
    why: OptionalWhy = ""

    @model_validator(mode="after")
    def require_selection(self) -> "GroupEditBody":
        """Refuse a body that selects nothing."""
        if not (self.ids or self.queue or self.subscription or self.fingerprint):
            raise ValueError("give ids, a queue, a subscription or a fingerprint")
        refuse_mixture(ids=self.ids, filters=(self.queue, self.subscription, self.fingerprint))
        return self

    def selection(self) -> dict[str, Any]:
        """Return the selection of dead letters."""
        return self.model_dump(include={"ids", "queue", "subscription", "fingerprint"})


class DifferenceOut(OpsResponse):
    """A value that is changed, by its JSON pointer."""

    path: str
    now: Any
    then: Any


class EditOut(OpsResponse):
    """The edit of one dead letter."""

    delivery_id: str
    event_type: str
    version: int
    diff: list[DifferenceOut]
    corrected: str | None = Field(description="the id of the new delivery; none in a preview")


class Edits(BaseModel):
    """The edits of several dead letters."""

    edits: list[EditOut]
