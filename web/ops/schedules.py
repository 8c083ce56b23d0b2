"""/ops/schedules: the entries that publish events at their due times."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from events import reading
from events.admin import schedules

bp = Blueprint("schedules", __name__, url_prefix="/schedules")


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the schedules, the next ones first."""
    with reading() as session:
        lines = schedules.listed(session)
    return render_template("ops/schedules.html", lines=lines)
