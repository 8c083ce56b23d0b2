"""/ops/queues: queues with their subscriptions, live processes, and pausing and resuming."""

from collections.abc import Iterable, Sequence

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from events import heartbeat, reading, transaction
from events.admin import queues, subscriptions
from events.admin.queues import Backlog, QueueView
from events.tables import SubscriptionRow
from tasks.durations import retry_text
from web import forms
from web.ops.needs import worker_command
from web.security import operator_name

bp = Blueprint("queues", __name__, url_prefix="/queues")


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List queues with their subscriptions, and live processes."""
    with reading() as session:
        rows = sorted(queues.overview(session), key=_worst_first)
        processes = heartbeat.alive(session)
        return render_template(
            "ops/queues.html",
            queues=rows,
            headline=_headline(rows),
            subscriptions=_by_queue(subscriptions.listed(session)),
            backlogs=queues.by_subscription(session),
            no_backlog=Backlog(),
            processes=processes,
            troubled=[each for each in processes if each.trouble or each.deaf],
            policy_of=subscriptions.policy_of,
            retry_text=retry_text,
            worker_command=worker_command,
        )


def _worst_first(row: QueueView) -> tuple[bool, int, str]:
    return works(row), -row.waiting - row.retrying, row.name


def works(row: QueueView) -> bool:
    """Return True if the queue is served: it has a worker, and the broker does not refuse it."""
    return bool(row.workers) and not row.trouble


def _headline(rows: Sequence[QueueView]) -> str:
    broken = [row.name for row in rows if not works(row)]
    if not rows:
        return "There are no queues yet"
    if not broken:
        return "1 queue is served" if len(rows) == 1 else f"All {len(rows)} queues are served"
    others = f"{len(rows) - len(broken)} of {len(rows)} are served"
    if len(broken) == 1:
        return f"Queue {broken[0]} is not served; {others}"
    return f"{len(broken)} queues are not served; {others}"


def _by_queue(rows: Iterable[SubscriptionRow]) -> dict[str, list[SubscriptionRow]]:
    found: dict[str, list[SubscriptionRow]] = {}
    for row in rows:
        found.setdefault(row.queue, []).append(row)
    return found


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
