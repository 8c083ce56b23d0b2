"""/ops/dead-letters: dead letters grouped by cause, invalid messages, and decisions on both."""

from datetime import datetime
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from events import inputs, log, reading, transaction
from events.admin import dead_letters, edits, invalid_messages, replays, triage
from events.admin import saved_views as views
from events.admin.dead_letters import Group
from events.admin.invalid_messages import UnknownInvalidMessage
from events.errors import AlreadyReplaying, NothingToReplay, UnknownDelivery
from events.ledger import State
from events.replays import history
from events.search import dead
from events.selection import parse
from events.tables import Delivery
from tasks import impact
from tasks.search_fields import dead_letters_query
from web import forms
from web.errors import FieldError, InvalidInput
from web.ops import replay_forms
from web.ops.searching import search
from web.security import operator_name

bp = Blueprint("dead_letters", __name__, url_prefix="/dead-letters")
MAX_ROWS = 100


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the groups, the latest dead letters one by one, and the invalid messages."""
    selection = {
        name: value
        for name in ("queue", "subscription", "fingerprint")
        if (value := forms.stored(name, request.args.get(name, "")))
    }
    wanted = search(dead_letters_query)
    with reading() as session:
        ranking = impact.ranked(session, dead_letters.groups(session))
        noted = triage.of_groups(session, [group for group, _ in ranking.rows])
        found = dead.search(session, wanted.query, limit=MAX_ROWS, before=_before(), **selection)
        page = render_template(
            "ops/dead_letters.html",
            groups=list(zip(ranking.rows, noted, strict=True)),
            states=triage.STATES,
            impact=ranking.total,
            total=sum(group.count for group, _ in ranking.rows),
            search=wanted,
            found=found,
            views=views.listed(session, "dead-letters"),
            older=dead.written(found.older) if found.older else None,
            selected=None
            if wanted.text
            else sum(group.count for group, _ in ranking.rows if _matches(group, selection)),
            selection=selection,
            invalid_messages=invalid_messages.listed(session, limit=MAX_ROWS),
            invalid_messages_count=invalid_messages.count(session),
        )
    return page, wanted.status


def _matches(group: Group, selection: dict[str, str]) -> bool:
    return all(getattr(group, name) == value for name, value in selection.items())


def _before() -> tuple[datetime, str] | None:
    """Return the dead letter before which the page begins; a bad one means the first page."""
    try:
        return dead.cursor(request.args.get("before", ""))
    except ValueError:
        return None


def _selected_groups() -> list[tuple[str, str]]:
    keys = request.form.getlist("only") or request.form.getlist("group")
    if len(keys) > MAX_ROWS:  # the rest would stay dead without a word
        raise InvalidInput([FieldError("group", f"select at most {MAX_ROWS} groups at once")])
    parts = [forms.stored("group", key).partition(" ") for key in keys]
    if not parts or not all(space for _, space, _ in parts):
        raise InvalidInput([FieldError("group", "select the groups to replay or discard")])
    return [(subscription, fingerprint) for subscription, _, fingerprint in parts]


@bp.post("/replay")
def replay() -> ResponseReturnValue:
    """Start one job that replays the selected groups."""
    reason, groups, pace = forms.reason(), _selected_groups(), replay_forms.pace()
    return _start(url_for(".show_list"), why=reason, pace=pace, groups=groups)


def _start(back: str, **wanted: Any) -> ResponseReturnValue:
    try:
        with transaction() as session:
            job = replays.start(session, who=operator_name(), **wanted)
    except (AlreadyReplaying, NothingToReplay) as error:
        return replay_forms.refused(error, back)
    return replay_forms.started(job)


@bp.post("/discard")
def discard() -> ResponseReturnValue:
    """Discard the selected groups. Their events stay in the log."""
    reason, groups = forms.reason(), _selected_groups()
    count = dead_letters.discard(who=operator_name(), why=reason, groups=groups)
    if count:
        flash(f"Discarded {count} {'delivery' if count == 1 else 'deliveries'}.", "done")
    else:
        flash("Nothing was changed: none of them is dead any more.", "wait")
    return redirect(url_for(".show_list"), 303)


@bp.get("/<delivery_id>")
def show(delivery_id: str) -> ResponseReturnValue:
    """Show one delivery, in whatever state, with its event and its failed attempts."""
    with reading() as session:
        delivery = _find(session, delivery_id)
        [envelope] = log.read(session, [delivery.event_id])
        return render_template(
            "ops/delivery.html",
            delivery=delivery,
            envelope=envelope,
            attempts=dead_letters.attempts(session, delivery_id),
            replays=history.of_delivery(session, delivery.event_id, delivery.subscription),
            links=edits.links(session, delivery.event_id, delivery.subscription),
        )


def _find(session: Session, delivery_id: str) -> Delivery:
    event_id, subscription = parse(delivery_id)
    delivery = session.get(Delivery, (event_id, subscription))
    if delivery is None:
        raise UnknownDelivery(delivery_id)
    return delivery


@bp.post("/<delivery_id>/replay")
def replay_one(delivery_id: str) -> ResponseReturnValue:
    """Replay one dead letter."""
    reason = forms.reason()
    if (state := _state(delivery_id)) != State.DEAD:
        return _not_dead(delivery_id, state)
    here = url_for(".show", delivery_id=delivery_id)
    try:
        with transaction() as session:
            replays.start(session, who=operator_name(), why=reason, ids=[delivery_id])
    except (AlreadyReplaying, UnknownDelivery) as error:
        return replay_forms.refused(error, here)
    flash("The delivery is replayed.", "done")
    return redirect(here, 303)


@bp.post("/<delivery_id>/discard")
def discard_one(delivery_id: str) -> ResponseReturnValue:
    """Discard one dead letter. Its event stays in the log."""
    reason = forms.reason()
    if (state := _state(delivery_id)) != State.DEAD:
        return _not_dead(delivery_id, state)
    dead_letters.discard(who=operator_name(), why=reason, ids=[delivery_id])
    flash("The delivery is discarded. Its event stays in the log.", "done")
    return redirect(url_for(".show", delivery_id=delivery_id), 303)


def _state(delivery_id: str) -> str:
    with reading() as session:
        return _find(session, delivery_id).state


def _not_dead(delivery_id: str, state: str) -> ResponseReturnValue:
    flash(f"Nothing was changed: the delivery is {state}, not dead.", "wait")
    return redirect(url_for(".show", delivery_id=delivery_id), 303)


@bp.post("/invalid-messages/<message_id>/discard")
def discard_invalid_message(message_id: str) -> ResponseReturnValue:
    """Remove an invalid message from the list. Its row stays."""
    reason, number = forms.reason(), forms.checked("message", inputs.integer, message_id)
    try:
        with transaction() as session:
            invalid_messages.discard(session, number, who=operator_name(), why=reason)
        flash("The invalid message is discarded.", "done")
    except UnknownInvalidMessage:
        flash(f"Nothing was changed: invalid message {number} is on the list no more.", "wait")
    return redirect(url_for(".show_list"), 303)
