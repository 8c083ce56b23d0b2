"""/ops/dead-letters/edit: the same JSON Patch over a group, with a preview, then its replay."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from events import log, reading, transaction
from events.admin import dead_letters, edits
from events.admin.dead_letters import DeadLetterView
from events.admin.edits import MAX_EDITS, Change, Edit
from events.errors import InvalidPayload, NothingToReplay, UnknownDelivery
from web import forms
from web.filters import plural
from web.ops import selected_group
from web.ops.selected_group import SelectedGroup
from web.ops.typed_json import is_applied, parsed
from web.security import operator_name

bp = Blueprint("group_edits", __name__, url_prefix="/dead-letters")
MAX_PROBLEMS = 20  # that are shown
EXAMPLE = """[
  {"op": "replace", "path": "/…", "value": "…"}
]"""


@dataclass(frozen=True)
class WrongField:
    """A fault of the patch itself, or of the payload of one dead letter after it."""

    letter: DeadLetterView | None
    field: str
    message: str


@bp.get("/edit")
def show() -> ResponseReturnValue:
    """Show the form of a JSON Patch."""
    group = selected_group.in_address()
    return _page(group, _letters(group), EXAMPLE)


@bp.post("/edit")
def edit() -> ResponseReturnValue:
    """Check the patch and show the differences; with `apply`, publish the corrected events."""
    group, typed = selected_group.in_form(), request.form.get("patch", "")
    applied = is_applied(typed)
    letters = _letters(group, request.form.getlist("id") if applied else ())
    try:
        change = edits.patched_by(parsed(typed, "patch", list))
    except InvalidPayload as error:
        wrong = [WrongField(None, *each) for each in error.errors]
        return _page(group, letters, typed, problems=wrong)
    found, problems = _preview(letters, change)
    if problems or not applied:
        return _page(group, letters, typed, found=found, problems=problems)
    return _apply(group, [each.id for each in letters], change)


def _apply(group: SelectedGroup, ids: Sequence[str], change: Change) -> ResponseReturnValue:
    reason = forms.reason()
    try:
        with transaction() as session:
            edits.edit(session, ids, change, who=operator_name(), why=reason)
    except UnknownDelivery:
        flash("Nothing was changed: one of them is not dead any more.", "wait")
        return redirect(url_for(".show", **group.filters), 303)
    published = plural(len(ids), "corrected event is", "corrected events are")
    flash(f"{published} published, to this subscription alone.", "done")
    return redirect(url_for("ops.dead_letters.show_list"), 303)


def _letters(group: SelectedGroup, previewed: Sequence[str] = ()) -> list[DeadLetterView]:
    """Return the dead letters of a group that one act corrects: those of the preview, if any."""
    ids = [forms.stored("id", each) for each in previewed] or None
    with reading() as session:
        found = dead_letters.listed(session, ids=ids, limit=MAX_EDITS, **group.filters)
    if not found:
        raise NothingToReplay("no dead letter of this group is left; somebody settled them")
    return found


def _preview(
    letters: Sequence[DeadLetterView], change: Change
) -> tuple[list[Edit], list[WrongField]]:
    found, problems = list[Edit](), list[WrongField]()
    with reading() as session:
        for letter in letters:
            try:
                found += edits.preview(session, [letter.id], change)
            except InvalidPayload as error:
                problems += [WrongField(letter, *each) for each in error.errors]
    return found, problems


def _page(
    group: SelectedGroup,
    letters: Sequence[DeadLetterView],
    typed: str,
    *,
    found: Sequence[Edit] = (),
    problems: Sequence[WrongField] = (),
) -> ResponseReturnValue:
    with reading() as session:
        total = dead_letters.count(session, **group.filters)
        [envelope] = log.read(session, [letters[0].event_id])
    page = render_template(
        "ops/group_edit.html",
        group=group,
        found=list(zip(letters, found, strict=True)) if found and not problems else [],
        problems=problems[:MAX_PROBLEMS],
        more_problems=max(0, len(problems) - MAX_PROBLEMS),
        typed=typed,
        total=total,
        number=len(letters),
        envelope=envelope,
        example=json.dumps(envelope.data, indent=2, ensure_ascii=False),
    )
    return page, 422 if problems else 200
