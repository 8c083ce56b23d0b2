"""The shop's pages: the order form and the order with its live timeline. They work without JavaScript."""

import secrets
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from pydantic import ValidationError
from sqlalchemy.orm import Session

from events import reading, transaction
from tasks import inventory, orders, products
from tasks.commands import PlaceOrder, countries
from tasks.errors import NotCancellable, OrderError, UnknownOrder
from tasks.orders import Order
from web import filters, idempotency
from web.errors import KeyReused, render
from web.forms import typed
from web.health import ORDERS
from web.order import page as order_page
from web.order.page import Place
from web.security import limiter, ops_user, order_limit
from web.shop.form import METHODS, MOST, Filled

bp = Blueprint("shop", __name__)
filters.add_to(bp)
EMPTY = {"country": "DE"}
TOO_LATE = "The form had been open for too long. Nothing was lost: please send it again."


@bp.get("/")
def form() -> ResponseReturnValue:
    """Show the order form."""
    return _form(Filled(EMPTY))


@bp.get("/orders")
def form_again() -> ResponseReturnValue:
    """Lead who reloads a form that was refused to a new one."""
    return redirect(url_for("shop.form"))


@bp.post("/orders")
@limiter.limit(order_limit)
def place() -> ResponseReturnValue:
    """Place the order of the form, once however often it is sent, and lead to its page.

    Not under the form's own address: a browser would forget the form, and the way back would lead to one with a new key.
    """
    filled = Filled(request.form)
    try:
        wish = filled.wish()
        return redirect(_place(wish, request.form.get("key", "")), 303)
    except KeyReused:
        filled.errors[""] = (
            "This form was sent before with other contents. Send it again if this is a new order."
        )
        return _form(filled, status=409)
    except (ValidationError, OrderError) as error:
        filled.refused(error)
        return _form(filled, status=getattr(error, "status", 422), key=request.form.get("key"))


def _place(wish: PlaceOrder, key: str) -> str:
    with transaction() as session:
        answer = idempotency.once(
            session,
            f"form {key}" if key else None,
            wish.model_dump_json(),
            lambda: _save(session, wish),
        )
    if not answer.again:
        ORDERS.inc()
    return url_for("shop.order", order_id=answer.body["id"], token=answer.body["token"])


def _save(session: Session, wish: PlaceOrder) -> dict[str, str]:
    order = orders.place(session, wish, stock_levels=inventory.stock_levels(session))
    return {"id": order.id, "token": order.token}


def _form(filled: Filled, *, status: int = 200, key: str | None = None) -> Response:
    with reading() as session:
        shelf = inventory.stock_levels(session)
        offered = products.listed(session)
    filled.gather({product.sku for product in offered})
    page = render_template(
        "form.html",
        filled=filled,
        key=(key or secrets.token_urlsafe(16))[:100],
        products=offered,
        shelf=shelf,
        most=MOST,
        countries=countries(),
        methods=METHODS,
        currency=offered[0].currency if offered else "EUR",
    )
    response = make_response(page, status)
    # Kept for the way back only: there the form has the same key, and sending it again leads to the same order.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@bp.errorhandler(CSRFError)
def expired(error: CSRFError) -> ResponseReturnValue:
    """Show the order form again, with what was typed, when its token ran out."""
    if request.endpoint != "shop.place":
        return render(error)
    return _form(Filled(request.form, {"": TOO_LATE}), status=400, key=request.form.get("key"))


@bp.get("/orders/<uuid:order_id>")
def order(order_id: UUID) -> ResponseReturnValue:
    """Show an order to who holds its token."""
    with reading() as session:
        return order_page.show(session, _held(session, order_id), _place_of(order_id))


@bp.get("/orders/<uuid:order_id>/live")
def live(order_id: UUID) -> ResponseReturnValue:
    """The part of an order's page that changes, or 304."""
    with reading() as session:
        return order_page.live(session, _held(session, order_id), _place_of(order_id))


@bp.post("/orders/<uuid:order_id>/cancel")
def cancel(order_id: UUID) -> ResponseReturnValue:
    """Cancel an order that is not shipped."""
    reason = typed("reason") or "cancelled by the customer"
    try:
        with transaction() as session:
            found = _held(session, order_id)
            orders.cancel(session, found.id, reason=reason, who=ops_user() or "customer")
    except NotCancellable as error:
        flash(f"Nothing was changed: {error}.", "wait")
    return redirect(url_for("shop.order", order_id=order_id, token=request.args.get("token")), 303)


def _held(session: Session, order_id: UUID) -> Order:
    """The order, for who holds its token or the ops login; a wrong token and an unknown order look alike."""
    found = orders.find(session, str(order_id))
    if ops_user() is None and not orders.may_read(found, request.args.get("token")):
        raise UnknownOrder(str(order_id))
    return found


def _place_of(order_id: UUID) -> Place:
    token = request.args.get("token")
    return Place(
        source=url_for("shop.live", order_id=order_id, token=token),
        cancel_url=url_for("shop.cancel", order_id=order_id, token=token),
        ops=ops_user() is not None,
    )
