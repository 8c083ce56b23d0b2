"""/ops: the state of orders, queues and processes at a glance, with the latest audit entries."""

from collections.abc import Iterator, Sequence

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from events import heartbeat, reading
from events.admin import audit, invalid_messages, queues
from events.admin.queues import QueueView
from events.tables import Heartbeat
from tasks import orders

bp = Blueprint("overview", __name__)


@bp.get("")
def show() -> ResponseReturnValue:
    """Show if orders are processed, and what keeps them from it."""
    with reading() as session:
        rows = queues.overview(session)
        return render_template(
            "ops/overview.html",
            queues=rows,
            warnings=[
                *_relay_warnings(heartbeat.live_relays(session)),
                *_queue_warnings(rows),
                *_worker_warnings(rows),
            ],
            stuck_orders=orders.stuck(session, limit=20),
            waiting=sum(row.waiting for row in rows),
            retrying=sum(row.retrying for row in rows),
            decisions=sum(row.dead for row in rows) + invalid_messages.count(session),
            unrelayed=queues.unrelayed(session),
            audit=audit.listed(session, limit=15),
        )


def _relay_warnings(relays: Sequence[Heartbeat]) -> Iterator[str]:
    if not relays:
        yield (
            "No relay is alive: orders are accepted and saved, but not processed. "
            "Start one with: tidings relay."
        )
    for relay in relays:
        if relay.trouble:
            cannot = "can send nothing" if relay.blocked else "cannot reach the broker"
            yield (
                f"{relay.name} {cannot}: {relay.trouble}. "
                "Orders are accepted and saved, but not processed."
            )


def _queue_warnings(rows: Sequence[QueueView]) -> Iterator[str]:
    for row in rows:
        if row.trouble:
            yield (
                f"Queue {row.name} {row.trouble}. To fix it: {row.fix}. "
                "Its deliveries wait; all other queues are served."
            )


def _worker_warnings(rows: Sequence[QueueView]) -> Iterator[str]:
    for row in rows:
        backlog = row.waiting + row.retrying
        if backlog and not row.workers:
            deliveries = "1 delivery is" if backlog == 1 else f"{backlog} deliveries are"
            yield f"Queue {row.name} has no worker; {deliveries} waiting in it."
