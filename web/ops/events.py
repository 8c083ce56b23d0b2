"""/ops/events: the event log, and each event with its origin, its deliveries and its effects."""

import json
from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Envelope, log, reading
from events.admin import saved_views as views
from events.admin import trace
from events.event import catalog
from events.search import find
from events.search.query import written
from events.tables import LogEntry
from tasks.search_fields import events_query
from web import forms
from web.ops.searching import search

bp = Blueprint("events", __name__, url_prefix="/events")
PAGE_SIZE = 50
MAX_EFFECTS = 100


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the events that the query finds, newest first."""
    given = ((name, forms.argument(name)) for name in ("type", "subject"))
    wanted = search(events_query, *(written(name, value) for name, value in given if value))
    with reading() as session:
        found = find.events(session, wanted.query, before=forms.before(), limit=PAGE_SIZE)
        saved = views.listed(session, "events")
    page = render_template(
        "ops/events.html",
        search=wanted,
        found=found,
        views=saved,
        event_types=sorted({event_class.type for event_class in catalog()}),
    )
    return page, wanted.status


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
