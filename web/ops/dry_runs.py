"""/ops/dead-letters/<id>/dry-run and /dry-run: what the handlers of dead letters would do now."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from events import log, reading
from events.admin import dead_letters
from events.dry_runs.process import MAX_AT_ONCE
from tasks.dry_runs import SAMPLE, dry_run, sample
from web import forms
from web.ops import selected_group

bp = Blueprint("dry_runs", __name__, url_prefix="/dead-letters")


def _answer() -> str | None:
    return forms.stored("answer", request.form.get("answer", "")) or None


@bp.post("/<delivery_id>/dry-run")
def show(delivery_id: str) -> ResponseReturnValue:
    """Run the handler without effect, and show the rows, events and calls."""
    answer = _answer()
    with reading() as session:
        letter = dead_letters.show(session, delivery_id)
        [envelope] = log.read(session, [letter.event_id])
    [result] = dry_run([delivery_id], answer=answer)
    return render_template("ops/dry_run.html", letter=letter, envelope=envelope, result=result)


@bp.post("/dry-run")
def show_sample() -> ResponseReturnValue:
    """Run the handlers of a sample of a group without effect, and show what each would do."""
    answer, group = _answer(), selected_group.in_form()
    number = forms.integer("sample", 1, MAX_AT_ONCE) if "sample" in request.form else SAMPLE
    with reading() as session:
        ids = sample(session, number, **group.filters)
        letters = [dead_letters.show(session, each) for each in ids]
        total = dead_letters.count(session, **group.filters)
    results = dry_run(ids, answer=answer)
    answers = {name: None for each in results for call in each.calls for name in call.answers}
    return render_template(
        "ops/dry_runs.html",
        group=group,
        found=list(zip(letters, results, strict=False)),
        handled=sum(each.outcome == "handled" for each in results),
        total=total,
        sample=number,
        max_sample=MAX_AT_ONCE,
        answers=list(answers),
        answer=answer,
    )
