"""The HTTP API that repairs dead letters: a dry run of a handler, a correction of the payload."""

from collections.abc import Sequence
from typing import Any

from flask import Response, jsonify
from pydantic import BaseModel

from events import reading, transaction
from events.admin import dead_letters, edits
from events.admin.edits import MAX_EDITS, Change, Edit, patched_by
from events.dry_runs.result import DryRun
from events.errors import NothingToReplay
from tasks.dry_runs import dry_run, sample
from web.api import operators
from web.api.operators import change_problems
from web.api.ops_schemas import DeadLetterPath
from web.api.repair_schemas import (
    DryRunBody,
    DryRuns,
    EditBody,
    EditOut,
    Edits,
    GroupEditBody,
    SampleBody,
)
from web.api.schemas import optional_body
from web.errors import FieldError, InvalidInput
from web.security import operator_name

bp = operators.blueprint("repairs_api", __name__)


@bp.post(
    "/dead-letters/<delivery_id>/dry-run",
    responses={200: DryRun, **change_problems()},
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


@bp.post("/dead-letters/dry-run", responses={200: DryRuns, **change_problems()})
def run_sample_dry(body: SampleBody) -> dict[str, Any]:
    """Run the handlers of a sample of dead letters without effect, as that of one alone."""
    filters = body.model_dump(include={"queue", "subscription", "fingerprint"})
    with reading() as session:
        if body.ids:
            ids = [dead_letters.show(session, each).id for each in body.ids]
        else:
            ids = sample(session, body.sample, **filters)
    results = dry_run(ids, answer=body.answer)
    return DryRuns(dry_runs=results).model_dump(mode="json")


@bp.post(
    "/dead-letters/<delivery_id>/edit",
    responses={200: EditOut, 202: EditOut, **change_problems()},
)
def edit_one(path: DeadLetterPath, body: EditBody) -> Response:
    """Publish a corrected event, which only the subscription of this dead letter gets.

    The payload is checked against the schema of its event; the original is kept and discarded. A
    call to the outside has a new idempotency key then: look first if the original one was made.
    """
    [found] = _edited([path.delivery_id], body.change(), preview=body.preview, why=body.why)
    return _response(EditOut.model_validate(found), preview=body.preview)


@bp.post("/dead-letters/edit", responses={200: Edits, 202: Edits, **change_problems()})
def edit_many(body: GroupEditBody) -> Response:
    """Publish corrected events for several dead letters, all of them or none.

    The same patch is applied to each, and each is checked as one alone is.
    """
    with reading() as session:
        found = dead_letters.listed(session, limit=MAX_EDITS + 1, **body.selection())
        for each in body.ids or ():
            dead_letters.show(session, each)
    if not found:
        raise NothingToReplay("no dead letter matches the selection")
    if len(found) > MAX_EDITS:
        problem = f"more than {MAX_EDITS} dead letters match; give a narrower selection"
        raise InvalidInput([FieldError("body", problem)])
    ids = [each.id for each in found]
    made = _edited(ids, patched_by(body.patch), preview=body.preview, why=body.why)
    out = Edits(edits=[EditOut.model_validate(each) for each in made])
    return _response(out, preview=body.preview)


def _response(model: BaseModel, *, preview: bool) -> Response:
    response = jsonify(model.model_dump(mode="json"))
    response.status_code = 200 if preview else 202
    return response


def _edited(ids: Sequence[str], change: Change, *, preview: bool, why: str) -> list[Edit]:
    if preview:
        with reading() as session:
            return edits.preview(session, ids, change)
    if not why:
        raise InvalidInput([FieldError("why", "give a reason; it is written to the audit log")])
    with transaction() as session:
        return edits.edit(session, ids, change, who=operator_name(), why=why)
