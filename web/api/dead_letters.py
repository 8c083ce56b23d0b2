"""The HTTP API for operators: dead letters as a file, and the triage of their groups."""

from typing import Any, Literal

from flask import Response
from pydantic import Field

from events import transaction
from events.admin import triage
from events.admin.triage import TriageChange
from web.api import operators
from web.api.dead_letter_schemas import TriageBody
from web.api.operators import change_problems
from web.api.ops_schemas import DeadLetterFilters
from web.api.schemas import problems
from web.dead_letter_export import export
from web.security import operator_name

bp = operators.blueprint("dead_letters_api", __name__, under="/dead-letters")


class ExportQuery(DeadLetterFilters):
    """The dead letters that match each given filter, as a file."""

    format: Literal["csv", "jsonl", "markdown"] = Field(
        default="jsonl", description="markdown: one group, of a subscription and a fingerprint"
    )


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


@bp.post("/triage", responses={204: None, **change_problems()})
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
            why=body.why,
        )
    return "", 204
