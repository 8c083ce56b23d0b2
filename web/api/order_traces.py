"""The HTTP API for the traces of orders, and for the orders that are stuck."""

from typing import Any

from flask_openapi.blueprint import APIBlueprint

from events import clock, reading
from tasks import order_trace, orders, stuck_orders
from web.api.openapi import OPS_AUTH
from web.api.ops import OPS
from web.api.order_trace_schemas import (
    OrderTraceOut,
    StuckOrderOut,
    StuckOrders,
    StuckOrdersQuery,
)
from web.api.schemas import OrderPath, problems
from web.security import require_ops

bp = APIBlueprint(
    "order_trace_api",
    __name__,
    url_prefix="/api/v1/orders",
    abp_tags=[OPS],
    abp_security=OPS_AUTH,
    abp_responses=problems(401, 422, 429, 500, 503),
)


@bp.before_request
@require_ops
def log_in() -> None:
    """Require the ops login before the request is validated."""


@bp.get("/stuck", responses={200: StuckOrders})
def list_stuck(query: StuckOrdersQuery) -> dict[str, Any]:
    """List the orders that are stuck, oldest first, with what each waits for."""
    with reading() as session:
        found = stuck_orders.listed(session, limit=query.limit)
        views = [StuckOrderOut.of(each) for each in found.orders]
    return StuckOrders(orders=views, more=found.more).model_dump(mode="json")


@bp.get("/<uuid:order_id>/trace", responses={200: OrderTraceOut, **problems(404)})
def show_trace(path: OrderPath) -> dict[str, Any]:
    """Show where the time of an order went: its events, deliveries and critical path."""
    with reading() as session:
        order = orders.find(session, str(path.order_id))
        trace = order_trace.of(session, order, now=clock.now())
    return OrderTraceOut.model_validate(trace).model_dump(mode="json")
