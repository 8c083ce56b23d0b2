"""/ops/products: the products with price and stock, and restocking."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from events import reading, transaction
from events.admin import audit
from tasks import inventory, products
from web import forms
from web.errors import FieldError, InvalidInput
from web.security import operator_name

bp = Blueprint("products", __name__, url_prefix="/products")
MAX_QUANTITY = 100_000  # of one restocking


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the products with price and stock."""
    with reading() as session:
        return render_template(
            "ops/products.html",
            products=products.listed(session),
            stock_levels=inventory.stock_levels(session),
            max_quantity=MAX_QUANTITY,
        )


@bp.post("/<sku>")
def restock(sku: str) -> ResponseReturnValue:
    """Add to the stock of a product."""
    reason, quantity = forms.reason(), _quantity()
    with transaction() as session:
        if sku not in products.by_sku(session, [sku]):
            raise InvalidInput([FieldError("sku", f"there is no product {sku[:32]}")])
        inventory.add_stock(session, sku, quantity)
        audit.record(
            session,
            who=operator_name(),
            action="restock",
            target=sku,
            why=f"{quantity} more: {reason}",
        )
    flash(f"Added {quantity} to the stock of {sku}.", "done")
    return redirect(url_for(".show_list"), 303)


def _quantity() -> int:
    quantity = request.form.get("quantity", type=int)
    if quantity is None or not 1 <= quantity <= MAX_QUANTITY:
        raise InvalidInput(
            [FieldError("quantity", f"give a whole number from 1 to {MAX_QUANTITY}")]
        )
    return quantity
