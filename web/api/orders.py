"""The HTTP API for customers: products, and orders from placing to cancelling."""

from typing import Any
from uuid import UUID

from flask import Response, jsonify, request, url_for
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from events import reading, transaction
from tasks import inventory, orders, products, timeline
from tasks.commands import PlaceOrder
from tasks.errors import UnknownOrder
from tasks.orders import Order
from web import idempotency
from web.api.schemas import (
    Accepted,
    Links,
    OrderState,
    Parameters,
    Products,
    ProductView,
    Step,
    optional_body,
    problems,
)
from web.errors import WrongToken
from web.health import ORDERS
from web.security import limiter, ops_user, order_limit

SHOP = Tag(name="shop", description="What customers do")
bp = APIBlueprint(
    "api", __name__, url_prefix="/api/v1", abp_tags=[SHOP], abp_responses=problems(422, 500, 503)
)
HOLDER: list[dict[str, list[str]]] = [
    {"order_token": []},
    {"order_token_query": []},
    {"ops_login": []},
]


class Headers(Parameters):
    """The request headers that are heeded."""

    idempotency_key: str | None = Field(
        default=None,
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,200}$",
        description="the same key and body get the first answer again",
    )


class OrderPath(Parameters):
    """Which order."""

    order_id: UUID


class Token(Parameters):
    """The order's token, where a header cannot be sent."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(default="", max_length=200)


class Cancellation(BaseModel):
    """Why the customer no longer wants it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(
        default="cancelled by the customer",
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*$",
    )


@bp.get("/products", responses={200: Products})
def list_products() -> Response:
    """List what can be ordered, with prices and what is left."""
    with reading() as session:
        shelf = inventory.stock_levels(session)
        found = [_product(each, shelf) for each in products.listed(session)]
    return conditional(Products(products=found))


def _product(product: products.Product, shelf: dict[str, int]) -> ProductView:
    return ProductView(
        sku=product.sku, name=product.name, price=product.price, available=shelf.get(product.sku, 0)
    )


@bp.post("/orders", responses={202: Accepted, **problems(400, 403, 409, 413, 415, 429)})
@limiter.limit(order_limit)
def place_order(header: Headers, body: PlaceOrder) -> Response:
    """Accept an order. It is saved when this returns; the services take it from there."""
    with transaction() as session:
        answer = idempotency.once(
            session, header.idempotency_key, body.model_dump_json(), lambda: _place(session, body)
        )
    if not answer.again:
        ORDERS.inc()
    response = jsonify(answer.body)
    response.status_code = 202
    response.headers["Idempotency-Replayed"] = "true" if answer.again else "false"
    response.headers["Location"] = answer.body["links"]["self"]
    response.headers["Cache-Control"] = "no-store"
    return response


def _place(session: Session, wish: PlaceOrder) -> dict[str, Any]:
    order = orders.place(session, wish)
    accepted = Accepted(
        id=order.id,
        number=order.number,
        status=order.status,
        total=order.total,
        token=order.token,
        links=links(order),
    )
    return accepted.model_dump(mode="json")


def links(order: Order) -> Links:
    """Where to go on from this order; the page's address carries the token."""
    return Links(
        self=url_for("api.show_order", order_id=order.id),
        cancel=url_for("api.cancel_order", order_id=order.id),
        page=f"{request.script_root}/orders/{order.id}?token={order.token}",
    )


@bp.get(
    "/orders/<uuid:order_id>",
    security=HOLDER,
    responses={200: OrderState, 304: None, **problems(401, 403, 404)},
)
def show_order(path: OrderPath, query: Token) -> Response:
    """Show how far an order is."""
    with reading() as session:
        order = held(session, str(path.order_id), query.token)
        return conditional(_state(session, order))


@bp.post(
    "/orders/<uuid:order_id>/cancel",
    security=HOLDER,
    responses={200: OrderState, **problems(400, 401, 403, 404, 409, 413, 415)},
    request_body=optional_body(Cancellation),
)
def cancel_order(path: OrderPath, query: Token, body: Cancellation) -> Response:
    """Cancel an order that is not shipped yet; what was done for it is undone."""
    with transaction() as session:
        order = held(session, str(path.order_id), query.token)
        orders.cancel(session, order.id, reason=body.reason, who=ops_user() or "customer")
        return conditional(_state(session, order))


def held(session: Session, order_id: str, token: str) -> Order:
    """The order, for who holds its token or the ops login.

    Raises 401 without either, `UnknownOrder` for operators only: to others a wrong id and a wrong token look alike, `WrongToken`.
    """
    if ops_user():
        return orders.find(session, order_id)
    sent = request.authorization
    given = sent.token if sent is not None and sent.type == "bearer" else token
    if not given:
        raise Unauthorized(
            "This needs the order's token, or the ops login.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    try:
        order = orders.find(session, order_id)
    except UnknownOrder:
        raise WrongToken from None
    if not orders.may_read(order, given):
        raise WrongToken
    return order


def _state(session: Session, order: Order) -> OrderState:
    return OrderState(
        id=order.id,
        number=order.number,
        status=order.status,
        reason=order.reason,
        stock=order.stock,
        payment=order.payment,
        shipment=order.shipment,
        items=list(order.lines),
        total=order.total,
        timeline=[
            Step(at=each.at, what=each.type, text=each.text)
            for each in timeline.entries(session, order.id)
        ],
        links=links(order),
    )


def conditional(answer: BaseModel) -> Response:
    """The answer with an ETag, or 304 when the client has it."""
    response = jsonify(answer.model_dump(mode="json"))
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response
