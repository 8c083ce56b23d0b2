"""/ops: the answer to whether orders are processed, what needs a person, and the latest acts."""

from collections.abc import Sequence

from flask import Blueprint, g, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from events import heartbeat, reading
from events.admin import audit, queues, subscriptions
from web.ops import needs
from web.ops.needs import Need

bp = Blueprint("overview", __name__)
MAX_HEADLINE = 90  # characters


@bp.get("")
def show() -> ResponseReturnValue:
    """Show if orders are processed, and what keeps them from it."""
    with reading() as session:
        rows = queues.overview(session)
        found = g.needs = needs.listed(session, rows)  # the navigation counts them
        headline, tone = _headline(found)
        return render_template(
            "ops/overview.html",
            headline=headline,
            tone=tone,
            needs=found,
            queues=rows,
            waiting=sum(row.waiting for row in rows),
            retrying=sum(row.retrying for row in rows),
            dead=sum(row.dead for row in rows),
            unrelayed=queues.unrelayed(session),
            paused=[row for row in subscriptions.listed(session) if row.paused_at],
            machinery=_machinery(session),
            audit=audit.listed(session, limit=10),
        )


def _headline(found: Sequence[Need]) -> tuple[str, str]:
    """Return the answer in one sentence, and the tone of the worst of what was found."""
    if not found:
        return "No problems: orders are accepted and processed", "done"
    tone = "bad" if any(each.tone == "bad" for each in found) else "wait"
    stopping = [each for each in found if each.stops]
    if not stopping:
        return "Orders are accepted and processed, but some need a decision", tone
    cause = stopping[0].title
    cause = cause[:1].lower() + cause[1:] if cause.startswith(("Queue", "No ")) else cause
    more = f", and {len(stopping) - 1} more" if len(stopping) > 1 else ""
    headline = f"Orders are accepted, but not all are processed: {cause}{more}"
    if len(headline) > MAX_HEADLINE:
        headline = "Orders are accepted, but not all are processed"
    return headline, tone


def _machinery(session: Session) -> list[tuple[str, list[str]]]:
    processes = heartbeat.alive(session)
    return [
        (label, [each.name for each in processes if each.kind == kind])
        for label, kind in (("Relay", "relay"), ("Workers", "worker"))
    ]
