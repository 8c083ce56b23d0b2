"""The operators' pages under /ops: the login, what every page shows, and the overview. One file per page beside this one."""

from collections.abc import Iterator, Sequence
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from events import heartbeat, reading
from events.admin import audit, dead_letters, invalid_messages, queues
from events.admin.queues import QueueView
from events.tables import Heartbeat
from tasks.orders import stuck
from tasks.settings import settings
from web.ops import catalog, events, mails, orders, products
from web.ops import dead_letters as ops_dead_letters
from web.ops import queues as ops_queues
from web.security import require_ops

bp = Blueprint("ops", __name__, url_prefix="/ops")
for page in (orders, products, events, ops_dead_letters, ops_queues, catalog, mails):
    bp.register_blueprint(page.bp)


@bp.before_request
@require_ops
def log_in() -> None:
    """Ask for the ops login before anything under /ops is looked at."""


@bp.context_processor
def of_ops() -> dict[str, Any]:
    """Tell the templates that an operator looks."""
    return {"ops": True}


@bp.app_context_processor
def of_the_head() -> dict[str, Any]:
    """What the head of a page needs, read only when it is shown."""
    return {"dead_count": dead_count, "flower_url": flower_url}


def dead_count() -> int:
    """How many deliveries and invalid messages wait for a decision."""
    with reading() as session:
        return dead_letters.count(session) + invalid_messages.count(session)


def flower_url() -> str:
    """Where Flower is, without a slash at its end; empty when nobody said."""
    return settings().flower_url.rstrip("/")


@bp.get("")
def overview() -> ResponseReturnValue:
    """Show at one look whether orders go through."""
    with reading() as session:
        rows = queues.overview(session)
        return render_template(
            "ops/overview.html",
            queues=rows,
            troubles=[*_of_relays(heartbeat.alive(session)), *_of_queues(rows)],
            stranded=stuck(session, limit=20),
            waiting=sum(row.waiting for row in rows),
            retrying=sum(row.retrying for row in rows),
            dead=dead_count(),
            unrelayed=queues.unrelayed(session),
            audit=audit.listed(session, limit=15),
        )


def _of_relays(alive: Sequence[Heartbeat]) -> Iterator[str]:
    relays = [process for process in alive if process.kind == "relay"]
    if not relays:
        yield "No relay is alive: orders are accepted and saved, but nothing goes on until one runs (tidings relay)."
    for relay in relays:
        if relay.trouble:
            yield f"The broker does not answer {relay.name}: {relay.trouble}. Orders are accepted, and wait."


def _of_queues(rows: Sequence[QueueView]) -> Iterator[str]:
    for row in rows:
        held = row.waiting + row.retrying
        if held and not row.workers:
            yield f"No worker serves the queue {row.name}; {held} {'delivery waits' if held == 1 else 'deliveries wait'} there."
