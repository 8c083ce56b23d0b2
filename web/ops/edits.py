"""/ops/dead-letters/<id>/edit: correct the payload of a dead letter, and replay that."""

import json

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from events import log, reading, transaction
from events.admin import dead_letters, edits
from events.errors import InvalidPayload, UnknownDelivery
from web import forms
from web.ops.typed_json import is_applied, parsed
from web.security import operator_name

bp = Blueprint("edits", __name__, url_prefix="/dead-letters")


@bp.get("/<delivery_id>/edit")
def show(delivery_id: str) -> ResponseReturnValue:
    """Show the payload in a form."""
    with reading() as session:
        letter = dead_letters.show(session, delivery_id)
        [envelope] = log.read(session, [letter.event_id])
    typed = json.dumps(envelope.data, indent=2, ensure_ascii=False)
    return _page(delivery_id, typed)


@bp.post("/<delivery_id>/edit")
def edit(delivery_id: str) -> ResponseReturnValue:
    """Check the payload and show the difference; with `apply`, publish the corrected event."""
    typed = request.form.get("data", "")
    try:
        change = edits.replaced_by(parsed(typed, "data", dict))
        if not is_applied(typed):
            with reading() as session:
                [found] = edits.preview(session, [delivery_id], change)
            return _page(delivery_id, typed, found=found)
        with transaction() as session:
            [found] = edits.edit(
                session, [delivery_id], change, who=operator_name(), why=forms.reason()
            )
    except InvalidPayload as error:
        return _page(delivery_id, typed, problems=error.errors, status=422)
    except UnknownDelivery:
        flash("Nothing was changed: the delivery is not dead any more.", "wait")
        return redirect(url_for("ops.dead_letters.show", delivery_id=delivery_id), 303)
    flash("The corrected event is published, to this subscription alone.", "done")
    return redirect(url_for("ops.dead_letters.show", delivery_id=found.corrected), 303)


def _page(
    delivery_id: str,
    typed: str,
    *,
    found: edits.Edit | None = None,
    problems: list[tuple[str, str]] | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    with reading() as session:
        letter = dead_letters.show(session, delivery_id)
    page = render_template(
        "ops/edit.html", letter=letter, typed=typed, found=found, problems=problems or []
    )
    return page, status
