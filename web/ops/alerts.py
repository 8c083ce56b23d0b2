"""/ops/alerts: what is wrong by the rules, what they would have raised, and a test."""

from collections.abc import Sequence

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from events import clock, reading, transaction
from events.alert_tables import State
from events.alerts import listing
from events.alerts.listing import AlertLine
from events.alerts.preview import preview
from events.settings import settings
from tasks.alert_receivers import NONE_KNOWN, receivers
from tasks.alert_texts import command, page
from web import forms
from web.security import operator_name

bp = Blueprint("alerts", __name__, url_prefix="/alerts")


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the alerts, those first whose rule holds, the rules, and the preview if it is asked."""
    with reading() as session:
        lines = listing.listed(session)
        looked_at, overdue = listing.looked_at(session)
        previewed = None
        if "preview" in request.args:
            previewed = preview(session, settings(), clock.now())
    headline, tone = _headline(lines, overdue=overdue)
    return render_template(
        "ops/alerts.html",
        lines=lines,
        rules=listing.rules(settings()),
        looked_at=looked_at,
        receivers=receivers(),
        preview=previewed,
        headline=headline,
        tone=tone,
        page_of=page,
        command_of=command,
    )


def _headline(lines: Sequence[AlertLine], *, overdue: bool) -> tuple[str, str]:
    firing = [line.title for line in lines if line.state == State.FIRING]
    if overdue:
        return "Nothing is watched: no relay has looked at the rules for a minute", "bad"
    if not firing:
        return "No alert: none of the rules holds", "done"
    more = f", and {len(firing) - 1} more" if len(firing) > 1 else ""
    return f"{firing[0]}{more}", "bad"


@bp.post("/test")
def send_test() -> ResponseReturnValue:
    """Send a message to each receiver."""
    reason = forms.reason()
    with transaction() as session:
        event_id = listing.send_test(session, who=operator_name(), why=reason)
    known = receivers()
    if known:
        flash(f"A test is on its way: {', '.join(known)}. Its deliveries are below.", "done")
    else:
        flash(f"The test is published, but {NONE_KNOWN}.", "wait")
    return redirect(url_for("ops.events.show", event_id=event_id), 303)
