"""/ops/queues: queues, live processes and subscriptions, and pausing and resuming one of these."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from events import heartbeat, reading, transaction
from events.admin import queues, subscriptions
from tasks.durations import retry_text
from web import forms
from web.security import operator_name

bp = Blueprint("queues", __name__, url_prefix="/queues")


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List queues, live processes and subscriptions."""
    with reading() as session:
        return render_template(
            "ops/queues.html",
            queues=queues.overview(session),
            processes=heartbeat.alive(session),
            subscriptions=subscriptions.listed(session),
            policy_of=subscriptions.policy_of,
            retry_text=retry_text,
        )


@bp.post("/<name>/pause")
def pause(name: str) -> ResponseReturnValue:
    """Pause the sends of a subscription. Its backlog is kept."""
    reason = forms.reason()
    with transaction() as session:
        paused = subscriptions.pause(session, name, who=operator_name(), why=reason)
    if paused:
        flash(f"{name} is paused. Its backlog is kept.", "done")
    else:
        flash(f"Nothing was changed: {name} is paused already.", "wait")
    return redirect(url_for(".show_list"), 303)


@bp.post("/<name>/resume")
def resume(name: str) -> ResponseReturnValue:
    """Resume the sends of a subscription, beginning with its backlog."""
    reason = forms.reason()
    with transaction() as session:
        resumed = subscriptions.resume(session, name, who=operator_name(), why=reason)
    if resumed:
        flash(f"{name} is resumed.", "done")
    else:
        flash(f"Nothing was changed: {name} is not paused.", "wait")
    return redirect(url_for(".show_list"), 303)
