"""The HTTP API for operators: products are added and changed."""

from typing import Any

from flask_openapi.blueprint import APIBlueprint

from events import transaction
from tasks import assortment, inventory
from tasks.products import Product
from web.api.openapi import OPS_AUTH
from web.api.ops import CHANGE_PROBLEMS, OPS
from web.api.ops_schemas import NewProductBody, ProductChangeBody
from web.api.orders import product_view
from web.api.schemas import ProductPath, ProductView, problems
from web.security import operator_name, require_ops

bp = APIBlueprint(
    "products_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[OPS],
    abp_security=OPS_AUTH,
    abp_responses=problems(401, 422, 429, 500, 503),
)


@bp.before_request
@require_ops
def log_in() -> None:
    """Require the ops login before the request is validated."""


@bp.post("/products", responses={201: ProductView, **CHANGE_PROBLEMS, **problems(409)})
def add_product(body: NewProductBody) -> tuple[dict[str, Any], int]:
    """Add a product."""
    with transaction() as session:
        product = assortment.add(session, body, who=operator_name(), why=body.reason)
        levels = inventory.stock_levels(session)
        return _view(product, levels), 201


@bp.patch("/products/<sku>", responses={200: ProductView, **CHANGE_PROBLEMS})
def change_product(path: ProductPath, body: ProductChangeBody) -> dict[str, Any]:
    """Change a product. What is left out stays, and so does the price of orders."""
    with transaction() as session:
        assortment.change(session, path.sku, body, who=operator_name(), why=body.reason)
        return _view(assortment.find(session, path.sku), inventory.stock_levels(session))


def _view(product: Product, levels: dict[str, int]) -> dict[str, Any]:
    return product_view(product, levels).model_dump(mode="json")
