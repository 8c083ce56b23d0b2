"""The HTTP API for operators: dead letters as a file, and the triage of their groups."""

from typing import Any, Literal

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from events import transaction
from events.admin import triage
from events.admin.triage import TriageChange
from web.api.dead_letter_schemas import TriageBody
from web.api.openapi import OPS_AUTH
from web.api.ops import OPS
from web.api.ops_schemas import DeadLetterFilters
from web.api.schemas import problems
from web.dead_letter_export import export
from web.security import operator_name, require_ops

bp = APIBlueprint(
    "dead_letters_api",
    __name__,
    url_prefix="/api/v1/dead-letters",
    abp_tags=[OPS],
    abp_security=OPS_AUTH,
    abp_responses=problems(401, 422, 429, 500, 503),
)


class ExportQuery(DeadLetterFilters):
    """The dead letters that match each given filter, as a file."""

    format: Literal["csv", "jsonl", "markdown"] = Field(
        default="jsonl", description="markdown: one group, of a subscription and a fingerprint"
    )


@bp.before_request
@require_ops
def log_in() -> None:
    """Require the ops login before the request is validated."""


_FILE = {"type": "string"}
_FILES: dict[Any, Any] = {
    "200": {
        "description": "the file",
        "content": {
            kind: {"schema": _FILE} for kind in ("application/jsonl", "text/csv", "text/markdown")
        },
    }
}


@bp.get("/export", responses={**_FILES, **problems(404)})
def export_dead_letters(query: ExportQuery) -> Response:
    """Return a list as JSON lines or CSV, or the report of a group as Markdown for a ticket."""
    filters = query.model_dump(exclude={"format"})
    return export(query.format, filters)


@bp.post("/triage", responses={204: None, **problems(400, 403, 404, 413, 415)})
def triage_group(body: TriageBody) -> tuple[str, int]:
    """Change the state, owner, note or link of a group; what is left out stays."""
    values = TriageChange(**body.given())
    with transaction() as session:
        triage.change(
            session,
            body.subscription,
            body.fingerprint,
            values,
            who=operator_name(),
            why=body.reason,
        )
    return "", 204
