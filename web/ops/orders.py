"""/ops/orders: all orders, newest first, and the page of each with an operator's actions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import reading, transaction
from events.errors import AlreadyReplaying, NothingToReplay, UnknownDelivery
from tasks import order_replays, orders, stuck_orders
from tasks.commands import order_number
from tasks.errors import NotCancellable
from tasks.orders import OPEN_STATUSES, Order
from web import forms
from web.order.page import OrderPage
from web.security import operator_name

bp = Blueprint("orders", __name__, url_prefix="/orders")
PAGE_SIZE = 50


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the orders, or the stuck ones; the search field redirects to the order it names."""
    number, only_stuck = forms.argument("number"), forms.argument("state") == "stuck"
    with reading() as session:
        if number:
            order_id = session.scalar(select(Order.id).where(Order.number == order_number(number)))
            if order_id:
                return redirect(url_for(".show", order_id=order_id))
        stuck = stuck_orders.listed(session, limit=PAGE_SIZE)
        if only_stuck:
            return render_template("ops/stuck_orders.html", stuck=stuck, page_size=PAGE_SIZE)
        rows = orders.listed(session, limit=PAGE_SIZE + 1, before=forms.before())
        page = render_template(
            "ops/orders.html",
            orders=rows[:PAGE_SIZE],
            older=rows[PAGE_SIZE - 1].key if len(rows) > PAGE_SIZE else None,
            number=number,
            stuck=stuck,
            marks=_marks(session, rows),
        )
    return page, 404 if number else 200


@dataclass(frozen=True)
class Mark:
    """The word for an order that does not go on, and its tone: bad if a person has to act."""

    word: str
    tone: str


def _marks(session: Session, rows: Sequence[Order]) -> dict[str, Mark]:
    """Return the mark of each order that does not go on by itself, by its number."""
    found = stuck_orders.among(session, [row for row in rows if row.status in OPEN_STATUSES])
    dead = orders.with_dead_letter(session, [row.number for row in rows])
    stuck = {each.order.number: Mark("stuck", "bad" if each.person else "wait") for each in found}
    return stuck | dict.fromkeys(dead, Mark("dead letter", "bad"))


@bp.get("/<uuid:order_id>")
def show(order_id: UUID) -> ResponseReturnValue:
    """Show an order with its customer, its events and its errors."""
    with reading() as session:
        return _page(order_id).render(session, orders.find(session, str(order_id)))


@bp.get("/<uuid:order_id>/live")
def show_live_part(order_id: UUID) -> ResponseReturnValue:
    """Show the part of an order's page that changes, or answer 304."""
    with reading() as session:
        return _page(order_id).render_live(session, orders.find(session, str(order_id)))


def _page(order_id: UUID) -> OrderPage:
    ask = forms.argument("ask")
    return OrderPage(
        page_url=partial(url_for, "ops.orders.show", order_id=order_id),
        live_url=url_for("ops.orders.show_live_part", order_id=order_id, ask=ask or None),
        cancel_url=url_for("ops.orders.cancel", order_id=order_id),
        ops=True,
        ask=ask,
    )


@bp.post("/<uuid:order_id>/cancel")
def cancel(order_id: UUID) -> ResponseReturnValue:
    """Cancel an order that is not shipped."""
    reason = forms.reason()
    try:
        with transaction() as session:
            orders.cancel(session, str(order_id), reason=reason, who=operator_name())
    except NotCancellable as error:
        flash(f"Nothing was changed: {error}.", "wait")
    return redirect(url_for(".show", order_id=order_id), 303)


@bp.post("/<uuid:order_id>/replay")
def replay(order_id: UUID) -> ResponseReturnValue:
    """Replay every dead letter of an order."""
    reason = forms.reason()
    try:
        with transaction() as session:
            job = order_replays.replay(session, str(order_id), who=operator_name(), why=reason)
            total = job.total
    except (AlreadyReplaying, NothingToReplay, UnknownDelivery) as error:
        flash(f"Nothing was changed: {error}.", "wait")
    else:
        flash(f"Replayed {total} {'delivery' if total == 1 else 'deliveries'}.", "done")
    return redirect(url_for(".show", order_id=order_id), 303)
