"""The HTTP API for operators: the lines of the audit."""

from datetime import datetime
from typing import Annotated, Any

from flask import url_for
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from events import reading
from events.admin import audit
from events.admin.audit import Filters, Role
from events.moments import last_moment, moment
from web import forms
from web.api import operators
from web.api.ops_schemas import OpsResponse, PageQuery, Text

bp = operators.blueprint("audit_api", __name__)
_DATE = WithJsonSchema({"type": "string", "examples": ["2026-05-03", "2026-05-03T14:30:00Z"]})


def _checked(rule: Any) -> Any:
    def check(text: str) -> str:
        rule(text)
        return text

    return AfterValidator(check)


class AuditQuery(PageQuery):
    """A part of the audit: the lines that match each given filter."""

    who: Text | None = Field(default=None, description="a part of the name")
    action: Text | None = Field(default=None, examples=["discard"])
    target: Text | None = Field(default=None, description="a part of the target")
    since: Annotated[str, _checked(moment), _DATE] | None = None
    until: Annotated[str, _checked(last_moment), _DATE] | None = Field(
        default=None, description="a date includes its day"
    )
    role: Role = Role.OPERATOR


class AuditLineOut(OpsResponse):
    """An act of an operator or customer."""

    id: int
    at: datetime
    role: Role
    who: str
    login_role: str = Field(description="of the login; empty for a command or a customer")
    action: str
    target: str
    why: str
    parameters: dict[str, Any]
    count: int | None = Field(description="rows that a bulk act has changed so far")
    finished: bool = Field(description="false: under way, or interrupted")


class AuditLines(BaseModel):
    """A page of the audit, newest first."""

    lines: list[AuditLineOut]
    next: str | None = Field(default=None, description="the address of the next, older page")


@bp.get("/audit", responses={200: AuditLines})
def list_audit(query: AuditQuery) -> dict[str, Any]:
    """List the latest acts of operators, or of customers."""
    since, until = forms.time_range(query.since, query.until)
    filters = Filters(
        who=query.who,
        action=query.action,
        target=query.target,
        since=since,
        until=until,
        role=query.role,
    )
    with reading() as session:
        rows = audit.listed(session, filters=filters, before=query.before, limit=query.limit)
    older = None
    if len(rows) == query.limit:
        given = query.model_dump(mode="json", exclude_none=True) | {"before": rows[-1].id}
        older = url_for(".list_audit", **given)
    lines = [AuditLineOut.model_validate(row) for row in rows]
    return AuditLines(lines=lines, next=older).model_dump(mode="json")
