"""/ops/events: the event log, and each event with its origin, its deliveries and its effects."""

import json
from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Envelope, log, reading
from events.admin import trace
from events.event import catalog
from events.tables import LogEntry
from tasks.commands import order_number
from web import forms

bp = Blueprint("events", __name__, url_prefix="/events")
PAGE_SIZE = 50
MAX_EFFECTS = 100


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the events, newest first, of one type or about one subject."""
    event_type, subject = (forms.argument(name) for name in ("type", "subject"))
    with reading() as session:
        rows = log.listed(
            session,
            event_type=event_type,
            subject=order_number(subject),
            before=forms.before(),
            limit=PAGE_SIZE + 1,
        )
    return render_template(
        "ops/events.html",
        entries=rows[:PAGE_SIZE],
        older=rows[PAGE_SIZE - 1].position if len(rows) > PAGE_SIZE else None,
        event_types=sorted({event_class.type for event_class in catalog()}),
        event_type=event_type,
        subject=subject,
    )


@bp.get("/<uuid:event_id>")
def show(event_id: UUID) -> ResponseReturnValue:
    """Show one event as a CloudEvent, with its origin, its deliveries and its effects."""
    with reading() as session:
        event = trace.of_event(session, event_id)
        if event is None:
            abort(404)
        cause_id = event.envelope.causation_id
        return render_template(
            "ops/event.html",
            envelope=event.envelope,
            raw=json.dumps(json.loads(event.envelope.to_json()), indent=2, ensure_ascii=False),
            deliveries=event.deliveries,
            causes=log.read(session, [cause_id]) if cause_id else [],
            effects=_effects(session, event.envelope),
        )


def _effects(session: Session, cause: Envelope) -> Sequence[LogEntry]:
    """Return the events that `cause` caused; they inherit its correlation, which has an index."""
    return session.scalars(
        select(LogEntry)
        .where(LogEntry.correlation_id == cause.correlation_id, LogEntry.causation_id == cause.id)
        .order_by(LogEntry.position)
        .limit(MAX_EFFECTS)
    ).all()
