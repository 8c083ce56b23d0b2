"""/ops/queues: how every queue is doing, who works on it, and pausing one subscription or letting it go on."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from events import control, heartbeat, queues, reading, transaction
from web.security import who
from web.typed import reason

bp = Blueprint("queues", __name__, url_prefix="/queues")


@bp.get("")
def listed() -> ResponseReturnValue:
    """List queues, live processes and subscriptions."""
    with reading() as session:
        return render_template(
            "ops/queues.html", queues=queues.overview(session), alive=heartbeat.alive(session), subscriptions=control.listed(session)
        )


@bp.post("/<name>/pause")
def pause(name: str) -> ResponseReturnValue:
    """Stop a subscription's sends; its backlog is kept."""
    why = reason()
    with transaction() as session:
        control.pause(session, name, who=who(), why=why)
    flash(f"{name} is paused. What it would hear waits.", "done")
    return redirect(url_for(".listed"), 303)


@bp.post("/<name>/resume")
def resume(name: str) -> ResponseReturnValue:
    """Send a subscription's backlog, and go on."""
    why = reason()
    with transaction() as session:
        control.resume(session, name, who=who(), why=why)
    flash(f"{name} goes on.", "done")
    return redirect(url_for(".listed"), 303)
