"""Problem details as RFC 9457 defines them, and those that no error of ours names."""

from dataclasses import dataclass, field
from typing import Any

from flask import g

RETRY_SOON = {"Retry-After": "1"}


@dataclass(frozen=True)
class FieldError:
    """A mistake in one field, which is named as a path such as `items.0.quantity`."""

    field: str
    message: str


@dataclass(frozen=True)
class Problem:
    """A problem detail as RFC 9457 defines it, with the headers of its response."""

    status: int
    title: str
    detail: str | None = None
    errors: tuple[FieldError, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """A name for this kind of problem that programs can compare."""
        return "urn:tidings:problem:" + self.title.lower().replace(" ", "-").replace("'", "")

    def body(self) -> dict[str, Any]:
        """Return the members of the JSON object."""
        members: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail:
            members["detail"] = self.detail
        if self.errors:
            members["errors"] = [vars(each) for each in self.errors]
        if self.links:
            members["links"] = self.links
        if "correlation_id" in g:
            members["instance"] = f"urn:uuid:{g.correlation_id}"
        return members


DATABASE_BUSY = Problem(
    503,
    "Database busy",
    "The database did not answer in time. Nothing was saved; try again.",
    headers=RETRY_SOON,
)
DATABASE_CANNOT_SAVE = Problem(
    503,
    "Database cannot save",
    "The database accepts no writes until its operator has repaired it. "
    "Nothing was saved; try again later.",
    headers={"Retry-After": "30"},
)
INTERNAL_ERROR = Problem(
    500,
    "Internal error",
    "Nothing was saved. The log has the error under the id that this response names as instance.",
)
