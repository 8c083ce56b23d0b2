"""/ops/queues: how every queue is doing, who works on it, and pausing one subscription or letting it go on."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from events import heartbeat, reading, transaction
from events.admin import queues, subscriptions
from web.forms import reason
from web.security import who

bp = Blueprint("queues", __name__, url_prefix="/queues")


@bp.get("")
def listed() -> ResponseReturnValue:
    """List queues, live processes and subscriptions."""
    with reading() as session:
        return render_template(
            "ops/queues.html",
            queues=queues.overview(session),
            alive=heartbeat.alive(session),
            subscriptions=subscriptions.listed(session),
        )


@bp.post("/<name>/pause")
def pause(name: str) -> ResponseReturnValue:
    """Stop a subscription's sends; its backlog is kept."""
    why = reason()
    with transaction() as session:
        subscriptions.pause(session, name, who=who(), why=why)
    flash(f"{name} is paused. What it would hear waits.", "done")
    return redirect(url_for(".listed"), 303)


@bp.post("/<name>/resume")
def resume(name: str) -> ResponseReturnValue:
    """Send a subscription's backlog, and go on."""
    why = reason()
    with transaction() as session:
        subscriptions.resume(session, name, who=who(), why=why)
    flash(f"{name} goes on.", "done")
    return redirect(url_for(".listed"), 303)
