"""/ops/tasks/<id>: the deliveries of one task message, which is a row of Flower."""

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from events import reading
from events.admin import task_messages

bp = Blueprint("task_messages", __name__, url_prefix="/tasks")


@bp.get("/<task_id>")
def show(task_id: str) -> ResponseReturnValue:
    """Show the deliveries of a task message."""
    with reading() as session:
        message = task_messages.find(session, task_id)
    if message is None:
        abort(404)
    return render_template("ops/task_message.html", message=message)
