"""/ops/queues: queues with their subscriptions, live processes, and pausing and resuming."""

from collections.abc import Sequence

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from events import clock, heartbeat, reading, transaction
from events.admin import stats, subscriptions
from events.admin.stats import QueueStats
from tasks.durations import retry_text
from tasks.worker_command import worker_command
from web import forms
from web.ops import speed_chart
from web.security import operator_name

bp = Blueprint("queues", __name__, url_prefix="/queues")


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List queues with their figures and subscriptions, and live processes."""
    with reading() as session:
        found = sorted(stats.read(session), key=_worst_first)
        processes = heartbeat.alive(session)
        now = clock.now()
        return render_template(
            "ops/queues.html",
            queues=found,
            headline=_headline(found),
            lead=_lead(found),
            charts={
                each.view.name: speed_chart.draw(each.history, each.versions, now) for each in found
            },
            rows_by_name={row.name: row for row in subscriptions.listed(session)},
            processes=processes,
            troubled=[each for each in processes if each.trouble or each.deaf],
            policy_of=subscriptions.policy_of,
            retry_text=retry_text,
            worker_command=worker_command,
        )


_ORDER = ("refused", "no worker", "breaker open", "ok")


def _worst_first(each: QueueStats) -> tuple[int, int, str]:
    return _ORDER.index(each.view.state), -each.view.open, each.view.name


def _headline(found: Sequence[QueueStats]) -> str:
    """Return the answer in one sentence of at most 90 characters."""
    if not found:
        return "There are no queues yet"
    broken = [each.view for each in found if each.view.state != "ok"]
    if not broken:
        return "1 queue is served" if len(found) == 1 else f"All {len(found)} queues are served"
    others = f"{len(found) - len(broken)} of {len(found)} are ok"
    if len(broken) > 1:
        return f"{len(broken)} queues are not served; {others}"
    [view] = broken
    return f"Queue {view.name} {_STATES[view.state]}; {others}"


_STATES = {
    "refused": "is refused by the broker",
    "no worker": "has no worker",
    "breaker open": "waits for a dependency",
}


def _lead(found: Sequence[QueueStats]) -> str:
    count = sum(each.view.open for each in found)
    paused = sum(
        line.open for each in found for line in each.subscriptions if line.state == "paused"
    )
    text = f"{count:,} {'delivery is' if count == 1 else 'deliveries are'} open in all"
    return f"{text}, {paused:,} of them in paused subscriptions." if paused else f"{text}."


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
