"""The operators' pages under /ops, one file per page, behind one login."""

from typing import Any

from flask import Blueprint, Flask, g, request

from events.replays.history import replay_of
from tasks.settings import settings
from web.ops import (
    alerts,
    audit,
    breakers,
    catalog,
    dead_letters,
    dry_runs,
    edits,
    events,
    exports,
    find,
    group_edits,
    live,
    mails,
    navigation,
    order_trace,
    orders,
    overview,
    product,
    products,
    queues,
    replays,
    runbook,
    schedules,
    task_messages,
    triage,
    views,
)
from web.security import require_ops

bp = Blueprint("ops", __name__, url_prefix="/ops")
for page in (
    *(overview, orders, products, product, events, dead_letters, queues, catalog, mails),
    *(find, audit, replays, dry_runs, edits, group_edits, exports, schedules, triage, breakers),
    *(order_trace, alerts, task_messages, views),
):
    bp.register_blueprint(page.bp)


@bp.before_request
@require_ops
def log_in() -> None:
    """Require the ops login for every address under /ops."""


@bp.context_processor
def add_ops_flag() -> dict[str, Any]:
    """Let the templates show an operator's navigation, and know what is around them."""
    return {"ops": True, "frame": live.frame()}


bp.after_request(live.answer)


@bp.app_context_processor
def add_error_pages() -> dict[str, Any]:
    """Let the error pages of operators keep the navigation, whether or not an address matched."""
    return {"on_ops_page": bool(g.get("ops_user")) and f"{request.path}/".startswith("/ops/")}


@bp.app_context_processor
def add_navigation_data() -> dict[str, Any]:
    """Give the navigation its data, as functions: most pages do not show it."""
    return {
        "navigation": navigation.navigation,
        "flower_url": flower_url,
        "replay_of": replay_of,
        "runbook_of": runbook.runbook_of,
    }


def flower_url() -> str:
    """Return the address of Flower's pages; empty if it is not configured."""
    return settings().flower_link


def init_app(app: Flask) -> None:
    """Add the pages to `app`."""
    app.register_blueprint(bp)
