"""/ops/orders/<id>/trace: where the time of an order went, on one axis."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from events import clock, reading
from tasks import order_trace, orders
from web.order import bars
from web.polling import conditional

bp = Blueprint("order_trace", __name__, url_prefix="/orders/<uuid:order_id>/trace")
STEP = 5  # seconds: what is open grows by so much, so that most polls are answered with 304


@bp.get("")
def show(order_id: UUID) -> ResponseReturnValue:
    """Show the trace of an order."""
    return render_template("ops/trace.html", **_variables(order_id))


@bp.get("/live")
def show_live_part(order_id: UUID) -> ResponseReturnValue:
    """Show the part of the page that changes, or answer 304."""
    return conditional(render_template("ops/trace_live.html", **_variables(order_id)))


def _variables(order_id: UUID) -> dict[str, Any]:
    with reading() as session:
        order = orders.find(session, str(order_id))
        trace = order_trace.of(session, order, now=_now())
    return {
        "trace": trace,
        "drawing": bars.draw(trace),
        "bars_text": bars.summary,
        "only_path": request.args.get("only") == "path",
        "live_url": url_for(
            ".show_live_part", order_id=order_id, only=request.args.get("only") or None
        ),
        **bars.longest(trace),
    }


def _now() -> datetime:
    now = clock.now()
    return now.replace(second=now.second - now.second % STEP, microsecond=0)
