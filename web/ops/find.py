"""/ops/find: from an order's number, or an id of an order, event, delivery or task, to its page."""

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from events import log, reading
from tasks.orders import Order
from web import forms

bp = Blueprint("find", __name__, url_prefix="/find")


@bp.get("")
def show() -> ResponseReturnValue:
    """Redirect to what was looked for; anything else is looked for among the order numbers."""
    wanted = forms.argument("q").strip()
    first, _, subscription = wanted.partition(":")
    try:
        found = UUID(first)
    except ValueError:
        return redirect(url_for("ops.orders.show_list", number=wanted or None))
    if subscription.rpartition(":")[2].isdecimal():
        return redirect(url_for("ops.task_messages.show", task_id=wanted))
    if subscription:
        return redirect(url_for("ops.dead_letters.show", delivery_id=wanted))
    with reading() as session:
        if session.scalar(select(Order.id).where(Order.id == str(found))):
            return redirect(url_for("ops.orders.show", order_id=found))
        if log.read(session, [found]):
            return redirect(url_for("ops.events.show", event_id=found))
    return redirect(url_for("ops.orders.show_list", number=wanted))
