"""/ops/dead-letters/<id>/dry-run: what the handler of a dead letter would do now."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from events import log, reading
from events.admin import dead_letters
from tasks.dry_runs import dry_run
from web import forms

bp = Blueprint("dry_runs", __name__, url_prefix="/dead-letters")


@bp.post("/<delivery_id>/dry-run")
def show(delivery_id: str) -> ResponseReturnValue:
    """Run the handler without effect, and show the rows, events and calls."""
    answer = forms.stored("answer", request.form.get("answer", "")) or None
    with reading() as session:
        letter = dead_letters.show(session, delivery_id)
        [envelope] = log.read(session, [letter.event_id])
    [result] = dry_run([delivery_id], answer=answer)
    return render_template("ops/dry_run.html", letter=letter, envelope=envelope, result=result)
