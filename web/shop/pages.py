"""The pages of the shop: the order form and the order. They work without JavaScript."""

import secrets
from functools import partial
from typing import Any
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

from events import reading, transaction
from events.catalog import Line
from tasks import inventory, orders, products
from tasks.commands import MAX_QUANTITY, PlaceOrder
from tasks.countries import countries
from tasks.errors import NotCancellable, OrderError
from tasks.money import LOCALE
from web import forms
from web.errors import KeyReused
from web.order.page import OrderPage
from web.orders import accept_order, authorized_order
from web.rate_limit import limit_orders
from web.refused_forms import refusal, render_refusal
from web.security import ops_user
from web.shop.form import PAYMENT_METHODS, OrderForm

bp = Blueprint("shop", __name__)
DEFAULTS = {"country": "DE"}
KEY_REUSED = "This form was sent before with other contents. Send it again if this is a new order."


@bp.get("/")
def show_form() -> ResponseReturnValue:
    """Show the order form."""
    return _render_form(OrderForm(DEFAULTS))


@bp.get("/orders")
def redirect_to_form() -> ResponseReturnValue:
    """Redirect to an empty form: a browser asks for this when a refused form is reloaded."""
    return redirect(url_for("shop.show_form"))


@bp.post("/orders")
@limit_orders
def place_order() -> ResponseReturnValue:
    """Place the order, once however often the form is sent, and redirect to its page.

    The form has another address: with its own, a browser would drop it from its history, and going
    back would open a form with a new key.
    """
    form = OrderForm(request.form)
    key = request.form.get("key", "")
    form.refuse_repeated(name for name, sent in request.form.lists() if len(sent) > 1)
    if form.errors:
        return _render_form(form, status=422, key=key)
    try:
        result = accept_order(
            form.command(), key=f"form\0{key}" if key else None, quote=_quote_from_stock
        )
    except KeyReused:
        form.errors[""] = KEY_REUSED
        return _render_form(form, status=409)
    except (ValidationError, OrderError) as error:
        form.add_errors(error)
        return _render_form(form, status=getattr(error, "status", 422), key=key)
    page = url_for("shop.show_order", order_id=result.body["id"], token=result.body["token"])
    return redirect(page, 303)


def _quote_from_stock(command: PlaceOrder) -> tuple[Line, ...]:
    """Refuse an order for more than there is. The API accepts it and leaves it to inventory."""
    with reading() as session:
        return products.quote(session, command, stock_levels=inventory.stock_levels(session))


def _render_form(form: OrderForm, *, status: int = 200, key: str | None = None) -> Response:
    with reading() as session:
        stock_levels = inventory.stock_levels(session)
        offered = products.listed(session)
    form.move_errors_without_field({product.sku for product in offered})
    page = render_template(
        "shop/form.html",
        form=form,
        key=(key or secrets.token_urlsafe(16))[:100],
        products=offered,
        stock_levels=stock_levels,
        max_quantity=MAX_QUANTITY,
        countries=countries(),
        payment_methods=PAYMENT_METHODS,
        money_locale=LOCALE.replace("_", "-"),
    )
    response = make_response(page, status)
    # For the way back only: the form has the same key there, and leads to the same order again.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@bp.errorhandler(CSRFError)
def show_refused_form(error: CSRFError) -> ResponseReturnValue:
    """Show the order form with its values again, with the reason why its token was refused."""
    if request.endpoint != "shop.place_order":
        return render_refusal(error)
    form = OrderForm(request.form, {"": refusal(error)})
    return _render_form(form, status=400, key=request.form.get("key"))


@bp.get("/orders/<uuid:order_id>")
def show_order(order_id: UUID) -> ResponseReturnValue:
    """Show an order to the holder of its token."""
    with reading() as session:
        return _page(order_id).render(session, authorized_order(session, order_id, _token()))


@bp.get("/orders/<uuid:order_id>/live")
def show_live_part(order_id: UUID) -> ResponseReturnValue:
    """Show the part of an order's page that changes, or answer 304."""
    with reading() as session:
        return _page(order_id).render_live(session, authorized_order(session, order_id, _token()))


@bp.post("/orders/<uuid:order_id>/cancel")
def cancel_order(order_id: UUID) -> ResponseReturnValue:
    """Cancel an order that is not shipped."""
    reason = forms.optional_reason()
    try:
        with transaction() as session:
            order = authorized_order(session, order_id, _token())
            orders.cancel(session, order.id, reason=reason, who=ops_user())
    except NotCancellable as error:
        flash(f"Nothing was changed: {error}.", "wait")
    return redirect(url_for("shop.show_order", order_id=order_id, token=_token() or None), 303)


def _token() -> str:
    return request.args.get("token", "")


def _page(order_id: UUID) -> OrderPage:
    where: dict[str, Any] = {"order_id": order_id, "token": _token() or None}
    ask = forms.argument("ask")
    return OrderPage(
        page_url=partial(url_for, "shop.show_order", **where),
        live_url=url_for("shop.show_live_part", **where, ask=ask or None),
        cancel_url=url_for("shop.cancel_order", **where),
        ops=ops_user() is not None,
        ask=ask,
    )
