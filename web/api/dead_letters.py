"""The HTTP API for operators: dead letters as a file, and the triage of their groups."""

from typing import Any, Literal

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from web.api.openapi import OPS_AUTH
from web.api.ops import OPS
from web.api.ops_schemas import DeadLetterFilters
from web.api.schemas import problems
from web.dead_letter_export import export
from web.security import require_ops

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
