"""The HTTP API for customers: products, and orders from placing to cancelling."""

from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

from flask import Response, jsonify, request, url_for
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag
from pydantic import BaseModel
from sqlalchemy.orm import Session

from events import reading, transaction
from tasks import inventory, orders, products, reservation_deadline, timeline
from tasks.commands import PlaceOrder
from tasks.orders import Order
from tasks.products import Product
from web import polling
from web.api.openapi import ORDER_AUTH
from web.api.schemas import (
    Accepted,
    Cancellation,
    Links,
    OrderHeaders,
    OrderPath,
    OrderState,
    Products,
    ProductView,
    TimelineStep,
    TokenQuery,
    optional_body,
    problems,
)
from web.orders import accept_order, authorized_order
from web.rate_limit import limit_orders
from web.security import ops_user

SHOP = Tag(name="shop", description="Endpoints for customers")
bp = APIBlueprint(
    "api", __name__, url_prefix="/api/v1", abp_tags=[SHOP], abp_responses=problems(422, 500, 503)
)


@bp.get("/products", responses={200: Products})
def list_products() -> Response:
    """List the products with their prices and stock; with the ops login also those not sold."""
    with reading() as session:
        stock_levels = inventory.stock_levels(session)
        offered = products.listed(session, inactive=ops_user() is not None)
        views = [product_view(product, stock_levels) for product in offered]
    return conditional(Products(products=views))


def product_view(product: Product, stock_levels: Mapping[str, int]) -> ProductView:
    """Return a product as the API shows it."""
    return ProductView(
        sku=product.sku,
        name=product.name,
        description=product.description,
        price=product.price,
        available=stock_levels.get(product.sku, 0),
        active=product.active,
    )


@bp.post("/orders", responses={202: Accepted, **problems(400, 403, 409, 413, 415, 429)})
@limit_orders
def place_order(header: OrderHeaders, body: PlaceOrder) -> Response:
    """Accept an order. It is saved when this returns; the services take it from there."""
    result = accept_order(body, key=header.idempotency_key)
    links = order_links(result.body["id"], result.body["token"])
    accepted = Accepted.model_validate({**result.body, "links": links})
    response = Response(accepted.model_dump_json(), 202, mimetype="application/json")
    response.headers["Idempotency-Replayed"] = "true" if result.replayed else "false"
    response.headers["Location"] = links.self
    response.headers["Cache-Control"] = "no-store"
    return response


def order_links(order_id: str, token: str) -> Links:
    """Return the addresses of an order; that of its page carries the token."""
    order, cancel, page = _addresses(request.script_root)
    return Links(
        self=order.replace(_ANY_ID, order_id),
        cancel=cancel.replace(_ANY_ID, order_id),
        page=page.replace(_ANY_ID, order_id) + token,
    )


_ANY_ID = str(UUID(int=0))


@lru_cache(maxsize=8)
def _addresses(script_root: str) -> tuple[str, str, str]:
    """Build the addresses once for each root: three calls of `url_for` took a tenth of an order."""
    return (
        url_for("api.show_order", order_id=_ANY_ID),
        url_for("api.cancel_order", order_id=_ANY_ID),
        url_for("shop.show_order", order_id=_ANY_ID, token=""),
    )


@bp.get(
    "/orders/<uuid:order_id>",
    security=ORDER_AUTH,
    responses={200: OrderState, 304: None, **problems(401, 403, 404, 429)},
)
def show_order(path: OrderPath, query: TokenQuery) -> Response:
    """Show the state of an order."""
    with reading() as session:
        return conditional(_state(session, authorized_order(session, path.order_id, query.token)))


@bp.post(
    "/orders/<uuid:order_id>/cancel",
    security=ORDER_AUTH,
    responses={200: OrderState, **problems(400, 401, 403, 404, 409, 413, 415, 429)},
    request_body=optional_body(Cancellation),
)
def cancel_order(path: OrderPath, query: TokenQuery, body: Cancellation) -> Response:
    """Cancel an order that is not shipped yet. The services undo the steps that were done."""
    with transaction() as session:
        order = authorized_order(session, path.order_id, query.token)
        orders.cancel(session, order.id, reason=body.why, who=ops_user())
        return conditional(_state(session, order))


def _state(session: Session, order: Order) -> OrderState:
    return OrderState(
        id=order.id,
        number=order.number,
        status=order.status,
        reason=order.reason,
        stock=order.stock,
        payment=order.payment,
        shipment=order.shipment,
        reserved_until=reservation_deadline.of(session, order.id),
        items=list(order.lines),
        total=order.total,
        timeline=[
            TimelineStep(at=entry.at, event_type=entry.type, text=entry.text)
            for entry in timeline.entries(session, order.id)
        ],
        links=order_links(order.id, order.token),
    )


def conditional(model: BaseModel) -> Response:
    """Respond with the model and its ETag, or with 304 if the client has it already."""
    return polling.conditional(jsonify(model.model_dump(mode="json")))
