"""/ops/products: all products with price and stock, and restocking."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from events import reading, transaction
from tasks import assortment, inventory, products
from tasks.assortment import MAX_RESTOCK
from tasks.commands import sku
from web import forms
from web.security import operator_name

bp = Blueprint("products", __name__, url_prefix="/products")


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the products with price and stock."""
    with reading() as session:
        stock_levels = inventory.stock_levels(session)
        return render_template(
            "ops/products.html",
            products=products.listed(session, inactive=True),
            stock_levels=stock_levels,
            in_stock=[each for each, left in stock_levels.items() if left],
            max_quantity=MAX_RESTOCK,
        )


@bp.post("/<typed_sku>")
def restock(typed_sku: str) -> ResponseReturnValue:
    """Add to the stock of a product."""
    reason, quantity = forms.reason(), forms.integer("quantity", 1, MAX_RESTOCK)
    restocked = forms.checked("sku", sku, typed_sku)
    with transaction() as session:
        assortment.restock(session, restocked, quantity, who=operator_name(), why=reason)
    flash(f"Added {quantity} to the stock of {restocked}.", "done")
    return redirect(url_for(".show_list"), 303)
