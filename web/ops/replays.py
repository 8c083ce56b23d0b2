"""/ops/replays: the jobs that replay dead letters or backfill, with progress and buttons."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from events import clock, inputs, reading, transaction
from events.admin import replays, subscriptions
from events.errors import AlreadyReplaying, NothingToReplay, ReplayIsOver, UnknownDelivery
from events.replays.tables import Replay
from web import forms
from web.ops import replay_forms, replay_progress
from web.polling import conditional
from web.security import operator_name

bp = Blueprint("replays", __name__, url_prefix="/replays")
MAX_ROWS = 50


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the jobs, the newest first, and offer a backfill."""
    with reading() as session:
        jobs = replays.listed(session, limit=MAX_ROWS + 1, before=forms.before())
        known = subscriptions.listed(session)
        live = replays.running(session)
    before = jobs[MAX_ROWS - 1].id if len(jobs) > MAX_ROWS else None
    return render_template(
        "ops/replays.html",
        jobs=jobs[:MAX_ROWS],
        live=live,
        subscriptions=[row.name for row in known],
        event_types=sorted({name for row in known for name in row.event_types}),
        older=url_for(".show_list", before=before) if before else None,
    )


@bp.post("/backfill")
def backfill() -> ResponseReturnValue:
    """Start a backfill of one subscription."""
    reason, pace = forms.reason(), replay_forms.pace()
    name, event_type = (
        forms.stored(field, request.form.get(field, "")) for field in ("subscription", "event_type")
    )
    try:
        with transaction() as session:
            job = replays.start_backfill(
                session,
                name,
                event_type=event_type or None,
                who=operator_name(),
                why=reason,
                pace=pace,
            )
    except (AlreadyReplaying, NothingToReplay) as error:
        return replay_forms.refused(error, url_for(".show_list"))
    return replay_forms.started(job)


@bp.get("/<number>")
def show(number: str) -> ResponseReturnValue:
    """Show one job with its steps, progress and the deliveries that died again."""
    with reading() as session:
        job = replays.find(session, _number(number))
        failed = replays.failed(session, job, limit=MAX_ROWS)
    return render_template("ops/replay.html", failed=failed, **_variables(job))


@bp.get("/<number>/live")
def show_live_part(number: str) -> ResponseReturnValue:
    """Show the part of a job's page that changes, or answer 304."""
    with reading() as session:
        job = replays.find(session, _number(number))
    return conditional(render_template("ops/replay_live.html", **_variables(job)))


def _variables(job: Replay) -> dict[str, Any]:
    left = replays.seconds_left(job, clock.now())
    return {"job": job, "seconds_left": left, "progress": replay_progress.of(job, left)}


@bp.post("/<number>/again")
def again(number: str) -> ResponseReturnValue:
    """Start another job with what a stopped one has left."""
    reason, pace, stopped = forms.reason(), replay_forms.pace(), _number(number)
    try:
        with transaction() as session:
            job = replays.again(session, stopped, who=operator_name(), why=reason, pace=pace)
    except (AlreadyReplaying, NothingToReplay, UnknownDelivery) as error:
        return replay_forms.refused(error, url_for(".show", number=stopped))
    return replay_forms.started(job)


@bp.post("/<number>/pause")
def pause(number: str) -> ResponseReturnValue:
    """Give nothing more back until the job is resumed."""
    return _change(replays.pause, number, "paused")


@bp.post("/<number>/resume")
def resume(number: str) -> ResponseReturnValue:
    """Go on with a paused job."""
    return _change(replays.resume, number, "running")


@bp.post("/<number>/stop")
def stop(number: str) -> ResponseReturnValue:
    """End a job; what it has not given back stays as it is."""
    return _change(replays.stop, number, "stopped")


def _change(act: Callable[..., Any], text: str, state: str) -> ResponseReturnValue:
    reason, number = forms.reason(), _number(text)
    try:
        with transaction() as session:
            changed = act(session, number, who=operator_name(), why=reason)
    except ReplayIsOver as error:
        flash(f"Nothing was changed: {error}.", "wait")
    else:
        said = "is" if changed else "was already"
        flash(f"The replay {said} {state}.", "done" if changed else "wait")
    return redirect(url_for(".show", number=number), 303)


def _number(text: str) -> int:
    return forms.checked("replay", inputs.integer, text)
