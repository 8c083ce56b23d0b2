"""The HTTP API for the traces of orders, and for the orders that are stuck."""

from typing import Any

from events import clock, reading
from tasks import order_trace, orders, stuck_orders
from web.api import operators
from web.api.order_trace_schemas import (
    OrderTraceOut,
    StuckOrderOut,
    StuckOrders,
    StuckOrdersQuery,
)
from web.api.schemas import OrderPath, problems

bp = operators.blueprint("order_trace_api", __name__, under="/orders")


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
