"""/ops/orders: every order, newest first, and each order's page with what an operator may see and do."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from events import reading, transaction
from events.admin import dead_letters, trace
from tasks import orders
from tasks.errors import NotCancellable
from tasks.orders import Order
from web.forms import before, reason
from web.order import page
from web.order.page import Place
from web.security import who

bp = Blueprint("orders", __name__, url_prefix="/orders")
PAGE = 50


@bp.get("")
def listed() -> ResponseReturnValue:
    """List the orders; a number in the search field leads to that order."""
    wanted = request.args.get("number", "").strip()[:64]
    with reading() as session:
        if wanted:
            found = session.scalar(select(Order.id).where(Order.number == _number(wanted)))
            if found:
                return redirect(url_for(".show", order_id=found))
        rows = orders.listed(session, limit=PAGE + 1, before=before())
    older = rows[PAGE - 1].key if len(rows) > PAGE else None
    return render_template(
        "ops/orders.html", orders=rows[:PAGE], older=older, wanted=wanted
    ), 404 if wanted else 200


def _number(typed: str) -> str:
    return f"ORD-{typed}" if typed.isdecimal() else typed.upper()


@bp.get("/<uuid:order_id>")
def show(order_id: UUID) -> ResponseReturnValue:
    """Show an order with its customer, its events and what failed."""
    with reading() as session:
        return page.show(session, orders.find(session, str(order_id)), _place(order_id))


@bp.get("/<uuid:order_id>/live")
def live(order_id: UUID) -> ResponseReturnValue:
    """The part of an order's page that changes, or 304."""
    with reading() as session:
        return page.live(session, orders.find(session, str(order_id)), _place(order_id))


def _place(order_id: UUID) -> Place:
    return Place(
        url_for("ops.orders.live", order_id=order_id),
        url_for("ops.orders.cancel", order_id=order_id),
        ops=True,
    )


@bp.post("/<uuid:order_id>/cancel")
def cancel(order_id: UUID) -> ResponseReturnValue:
    """Cancel an order that is not shipped."""
    why = reason()
    try:
        with transaction() as session:
            orders.cancel(session, str(order_id), reason=why, who=who())
    except NotCancellable as error:
        flash(f"Nothing was changed: {error}.", "wait")
    return redirect(url_for(".show", order_id=order_id), 303)


@bp.post("/<uuid:order_id>/replay")
def replay(order_id: UUID) -> ResponseReturnValue:
    """Try every dead delivery of an order again."""
    why = reason()
    with transaction() as session:
        order = orders.find(session, str(order_id))
        dead = [
            each.id
            for event in trace.of(session, order.number)
            for each in event.deliveries
            if each.state == "dead"
        ]
        replayed = dead_letters.replay(session, who=who(), why=why, ids=dead) if dead else 0
    flash(f"Replayed {replayed}.", "done")
    return redirect(url_for(".show", order_id=order_id), 303)
