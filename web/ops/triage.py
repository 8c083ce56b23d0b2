"""/ops/dead-letters/triage: the state, owner, note and link of a group, from its row."""

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from events import transaction
from events.admin import triage
from web import forms
from web.errors import raise_invalid
from web.ops import selected_group
from web.security import operator_name

bp = Blueprint("triage", __name__, url_prefix="/dead-letters/triage")


@bp.post("")
def change() -> ResponseReturnValue:
    """Change the triage of a group."""
    reason = forms.reason()
    group = selected_group.in_form()
    names = ("state", "version", "owner", "note", "link")
    typed = {name: value for name in names if (value := request.form.get(name)) is not None}
    if not typed.get("version", "").strip():
        typed.pop("version", None)  # the form has the field for every state
    try:
        values = triage.TriageChange.model_validate(typed)
    except ValidationError as error:
        raise_invalid(error)
    with transaction() as session:
        triage.change(session, values=values, who=operator_name(), why=reason, **group.filters)
    flash("The triage is changed.", "done")
    return redirect(url_for("ops.dead_letters.show_list"), 303)
