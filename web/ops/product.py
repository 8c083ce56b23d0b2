"""/ops/products/new and /ops/products/<sku>/change: a product is added or changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, Response, flash, make_response, redirect, render_template
from flask import url_for as url
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from events import inputs, reading, transaction
from events.inputs import REASON
from tasks import assortment, inventory
from tasks.assortment import NewProduct, ProductChange
from tasks.commands import Command, sku
from tasks.errors import OrderError
from tasks.money import currencies, currency_code, parse_amount, plain_amount
from tasks.products import Product
from web import forms
from web.filters import sentence
from web.security import operator_name

bp = Blueprint("product", __name__, url_prefix="/products")
NEW = {"currency": "EUR", "stock": "0", "active": "on"}
FIELDS = {"price.amount": "price", "price.currency": "currency"}
NO_REASON = "Please give a reason; it is written to the audit log."

Kind = TypeVar("Kind", bound=Command)


@dataclass
class ProductForm:
    """The typed values of a product and their errors, by field."""

    values: Mapping[str, str]
    errors: dict[str, str] = field(default_factory=dict)

    def command(self, kind: type[Kind]) -> Kind | None:
        """Return the form as a command, or `None` after adding its errors."""
        currency = self.values.get("currency", "")
        price: object = 1  # if the currency is none, nobody can tell how the amount is written
        if self._read("currency", currency_code):
            price = self._read("price", lambda typed: parse_amount(typed, currency))
        sent: dict[str, Any] = {
            "name": self.values.get("name", ""),
            "description": self.values.get("description", ""),
            "price": {"amount": price, "currency": currency},
            "active": "active" in self.values,
        }
        if kind is NewProduct:
            sent["sku"] = self.values.get("sku", "").strip()
        if kind is NewProduct or self.values.get("stock", "").strip():
            sent["stock"] = self._read("stock", inputs.integer)
        if not self._read("reason", REASON):
            self.errors.setdefault("reason", NO_REASON)
        try:
            command = kind.model_validate(sent)
        except ValidationError as error:
            self._add(error)
            return None
        return None if self.errors else command

    def _read(self, name: str, rule: Callable[[str], object]) -> object:
        try:
            return rule(self.values.get(name, ""))
        except ValueError as error:
            self.errors[name] = sentence(str(error))
            return None

    def _add(self, error: ValidationError) -> None:
        for each in error.errors(include_url=False, include_input=False):
            path = ".".join(map(str, each["loc"]))
            self.errors.setdefault(FIELDS.get(path, path), sentence(inputs.reason_of(each)))


def _render(form: ProductForm, product: Product | None, stock: int = 0) -> Response:
    page = render_template(
        "ops/product.html",
        form=form,
        product=product,
        stock=stock,
        currencies=_currencies(product),
    )
    return make_response(page, 422 if form.errors else 200)


def _currencies(product: Product | None) -> list[tuple[str, str]]:
    """Return the currencies to choose from; that of the product may have been withdrawn since."""
    offered = [(code, f"{code}, {name}") for code, name in currencies()]
    if product is not None and product.currency not in dict(offered):
        offered.insert(0, (product.currency, f"{product.currency}, which is no longer a currency"))
    return offered


@bp.get("/new")
def show_new() -> ResponseReturnValue:
    """Show an empty form."""
    return _render(ProductForm(NEW), None)


@bp.post("/new")
def add() -> ResponseReturnValue:
    """Add a product."""
    form = ProductForm(forms.sent())
    command = form.command(NewProduct)
    if command is None:
        return _render(form, None)
    try:
        with transaction() as session:
            assortment.add(session, command, who=operator_name(), why=forms.reason())
    except OrderError as error:
        form.errors[error.field or ""] = sentence(str(error))
        return _render(form, None)
    flash(f"{command.name} is added.", "done")
    return redirect(url("ops.products.show_list"), 303)


@bp.get("/<typed_sku>/change")
def show(typed_sku: str) -> ResponseReturnValue:
    """Show the form with the values of a product."""
    with reading() as session:
        product = assortment.find(session, forms.checked("sku", sku, typed_sku))
        stock = inventory.stock_levels(session).get(product.sku, 0)
    values = {
        "name": product.name,
        "description": product.description,
        "price": plain_amount(product.price),
        "currency": product.currency,
    }
    active = {"active": "on"} if product.active else {}
    return _render(ProductForm(values | active), product, stock)


@bp.post("/<typed_sku>/change")
def change(typed_sku: str) -> ResponseReturnValue:
    """Change a product. Its stock is left alone unless a counted one is typed."""
    form = ProductForm(forms.sent())
    command = form.command(ProductChange)
    with transaction() as session:
        product = assortment.find(session, forms.checked("sku", sku, typed_sku))
        if command is None:
            return _render(form, product, inventory.stock_levels(session).get(product.sku, 0))
        changes = assortment.change(
            session, product.sku, command, who=operator_name(), why=forms.reason()
        )
    if changes:
        flash(f"{command.name} is changed: {', '.join(changes)}.", "done")
    else:
        flash("Nothing was changed: the product has these values already.", "wait")
    return redirect(url("ops.products.show_list"), 303)
