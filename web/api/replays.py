"""The HTTP API of the replays: start, list, pause, resume and stop jobs."""

from typing import Any

from flask import Response, jsonify, url_for

from events import clock, reading, transaction
from events.admin import replays
from events.replays.tables import Replay
from web.api import operators
from web.api.operators import change_problems
from web.api.ops_schemas import Because
from web.api.replay_schemas import (
    AgainBody,
    NewReplay,
    ReplayOut,
    ReplayPath,
    ReplayQuery,
    Replays,
    older,
    replay_out,
)
from web.api.schemas import problems
from web.security import operator_name

bp = operators.blueprint("replays_api", __name__)


@bp.post("/replays", responses={202: ReplayOut, **change_problems(409)})
def start_replay(body: NewReplay) -> Response:
    """Start a job that replays dead letters, or gives a subscription the past events."""
    with transaction() as session:
        if body.kind == "backfill":
            job = replays.start_backfill(
                session,
                str(body.subscription),
                event_type=body.event_type,
                pace=body.pace(),
                who=operator_name(),
                why=body.why,
            )
        else:
            job = replays.start(
                session, pace=body.pace(), who=operator_name(), why=body.why, **body.selection()
            )
    return accepted(job)


@bp.get("/replays", responses={200: Replays})
def list_replays(query: ReplayQuery) -> dict[str, Any]:
    """List the replays, the newest first."""
    with reading() as session:
        rows = replays.listed(session, limit=query.limit, before=query.before)
    before = older(rows, query.limit)
    following = url_for(".list_replays", limit=query.limit, before=before) if before else None
    page = Replays(replays=[_view(row) for row in rows], next=following)
    return page.model_dump(mode="json")


@bp.get("/replays/<number>", responses={200: ReplayOut, **problems(404)})
def show_replay(path: ReplayPath) -> dict[str, Any]:
    """Show one replay with its progress."""
    with reading() as session:
        return _view(replays.find(session, path.number)).model_dump(mode="json")


def _endpoint(act: str) -> dict[str, Any]:
    return {
        "rule": f"/replays/<number>/{act}",
        "responses": {200: ReplayOut, **change_problems(409)},
    }


@bp.post(**_endpoint("pause"))
def pause_replay(path: ReplayPath, body: Because) -> dict[str, Any]:
    """Give nothing more back until the replay is resumed."""
    with transaction() as session:
        replays.pause(session, path.number, who=operator_name(), why=body.why)
        return _view(replays.find(session, path.number)).model_dump(mode="json")


@bp.post(**_endpoint("resume"))
def resume_replay(path: ReplayPath, body: Because) -> dict[str, Any]:
    """Go on with a paused replay."""
    with transaction() as session:
        replays.resume(session, path.number, who=operator_name(), why=body.why)
        return _view(replays.find(session, path.number)).model_dump(mode="json")


@bp.post(**_endpoint("stop"))
def stop_replay(path: ReplayPath, body: Because) -> dict[str, Any]:
    """End a replay. The dead letters that it has not given back stay as they are."""
    with transaction() as session:
        replays.stop(session, path.number, who=operator_name(), why=body.why)
        return _view(replays.find(session, path.number)).model_dump(mode="json")


@bp.post("/replays/<number>/again", responses={202: ReplayOut, **change_problems(409)})
def replay_again(path: ReplayPath, body: AgainBody) -> Response:
    """Start another replay with what an earlier one has left."""
    with transaction() as session:
        job = replays.again(
            session, path.number, pace=body.pace(), who=operator_name(), why=body.why
        )
    return accepted(job)


def accepted(job: Replay) -> Response:
    """Return 202 with the job and its address."""
    response = jsonify(_view(job).model_dump(mode="json"))
    response.status_code = 202
    response.location = url_for("replays_api.show_replay", number=job.id)
    return response


def _view(job: Replay) -> ReplayOut:
    return replay_out(job, replays.seconds_left(job, clock.now()))
