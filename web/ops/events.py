"""/ops/events: the event log, and each event as it lies there, with who caused it and what became of its deliveries."""

import json
from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import log, reading
from events.admin import trace
from events.event import catalog
from events.tables import LogEntry
from web.forms import before

bp = Blueprint("events", __name__, url_prefix="/events")
PAGE = 50


@bp.get("")
def listed() -> ResponseReturnValue:
    """List the events, newest first, by type and by what they are about."""
    type, subject = (request.args.get(name, "").strip()[:200] for name in ("type", "subject"))
    with reading() as session:
        rows = log.listed(
            session, event_type=type, subject=subject, before=before(), limit=PAGE + 1
        )
    return render_template(
        "ops/events.html",
        entries=rows[:PAGE],
        older=rows[PAGE - 1].position if len(rows) > PAGE else None,
        types=sorted({each.type for each in catalog()}),
        type=type,
        subject=subject,
    )


@bp.get("/<uuid:event_id>")
def show(event_id: UUID) -> ResponseReturnValue:
    """Show one event: the CloudEvent, its origin, its deliveries and what followed from it."""
    with reading() as session:
        found = trace.of_event(session, event_id)
        if found is None:
            abort(404)
        cause = found.envelope.causation_id
        return render_template(
            "ops/event.html",
            envelope=found.envelope,
            raw=json.dumps(json.loads(found.envelope.to_json()), indent=2, ensure_ascii=False),
            deliveries=found.deliveries,
            causes=log.read(session, [cause]) if cause else [],
            effects=_effects(session, event_id),
        )


def _effects(session: Session, event_id: UUID) -> Sequence[LogEntry]:
    return session.scalars(
        select(LogEntry)
        .where(LogEntry.causation_id == event_id)
        .order_by(LogEntry.position)
        .limit(100)
    ).all()
