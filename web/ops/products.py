"""/ops/products: what is on the shelf, and putting more onto it."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from events import reading, transaction
from events.admin import audit
from tasks import inventory, products
from web.errors import FieldError, InvalidInput
from web.forms import reason
from web.security import who

bp = Blueprint("products", __name__, url_prefix="/products")
MOST = 100_000  # at one time


@bp.get("")
def listed() -> ResponseReturnValue:
    """List the products with price and stock."""
    with reading() as session:
        return render_template(
            "ops/products.html",
            products=products.listed(session),
            shelf=inventory.stock_levels(session),
            most=MOST,
        )


@bp.post("/<sku>")
def restock(sku: str) -> ResponseReturnValue:
    """Put more of a product onto the shelf."""
    why, quantity = reason(), _quantity()
    with transaction() as session:
        if sku not in products.by_sku(session, [sku]):
            raise InvalidInput([FieldError("sku", "the catalogue has no such product")])
        inventory.add_stock(session, sku, quantity)
        audit.record(
            session, who=who(), action="restock", target=sku, why=f"{quantity} more: {why}"
        )
    flash(f"{quantity} more of {sku} are on the shelf.", "done")
    return redirect(url_for(".listed"), 303)


def _quantity() -> int:
    quantity = request.form.get("quantity", type=int)
    if quantity is None or not 1 <= quantity <= MOST:
        raise InvalidInput([FieldError("quantity", f"give a whole number from 1 to {MOST}")])
    return quantity
