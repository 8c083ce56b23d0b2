"""The HTTP API that repairs a dead letter: a dry run of its handler."""

from typing import Any

from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag

from events import reading
from events.admin import dead_letters
from events.dry_runs.result import DryRun
from tasks.dry_runs import dry_run
from web.api.openapi import OPS_AUTH
from web.api.ops_schemas import DeadLetterPath
from web.api.repair_schemas import DryRunBody
from web.api.schemas import optional_body, problems
from web.security import require_ops

bp = APIBlueprint(
    "repairs_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="ops", description="Endpoints for operators")],
    abp_security=OPS_AUTH,
    abp_responses=problems(401, 422, 429, 500, 503),
)
CHANGE_PROBLEMS = problems(400, 403, 404, 413, 415)


@bp.before_request
@require_ops
def log_in() -> None:
    """Require the ops login before the request is validated."""


@bp.post(
    "/dead-letters/<delivery_id>/dry-run",
    responses={200: DryRun, **CHANGE_PROBLEMS},
    request_body=optional_body(DryRunBody),
)
def run_dry(path: DeadLetterPath, body: DryRunBody) -> dict[str, Any]:
    """Run the handler of a dead letter without effect, and list what it would do.

    Its rows are rolled back, its events are not published, its calls are not made. It runs in a
    process of its own, which is ended if it takes too long.
    """
    with reading() as session:
        dead_letters.show(session, path.delivery_id)
    [result] = dry_run([path.delivery_id], answer=body.answer)
    return result.model_dump(mode="json")
