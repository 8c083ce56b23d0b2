"""The HTTP API for operators: products are added and changed."""

from typing import Any

from events import transaction
from tasks import assortment, inventory
from tasks.products import Product
from web.api import operators
from web.api.operators import change_problems
from web.api.orders import product_view
from web.api.product_schemas import NewProductBody, ProductChangeBody, RestockBody
from web.api.schemas import ProductPath, ProductView
from web.security import operator_name

bp = operators.blueprint("products_api", __name__)


@bp.post("/products", responses={201: ProductView, **change_problems(409)})
def add_product(body: NewProductBody) -> tuple[dict[str, Any], int]:
    """Add a product."""
    with transaction() as session:
        product = assortment.add(session, body, who=operator_name(), why=body.why)
        levels = inventory.stock_levels(session)
        return _view(product, levels), 201


@bp.patch("/products/<sku>", responses={200: ProductView, **change_problems()})
def change_product(path: ProductPath, body: ProductChangeBody) -> dict[str, Any]:
    """Change a product. What is left out stays, and so does the price of orders."""
    with transaction() as session:
        assortment.change(session, path.sku, body, who=operator_name(), why=body.why)
        return _view(assortment.find(session, path.sku), inventory.stock_levels(session))


@bp.post("/products/<sku>/restock", responses={200: ProductView, **change_problems()})
def restock_product(path: ProductPath, body: RestockBody) -> dict[str, Any]:
    """Add to the stock of a product."""
    with transaction() as session:
        assortment.restock(session, path.sku, body.quantity, who=operator_name(), why=body.why)
        return _view(assortment.find(session, path.sku), inventory.stock_levels(session))


def _view(product: Product, levels: dict[str, int]) -> dict[str, Any]:
    return product_view(product, levels).model_dump(mode="json")
