"""Liveness and readiness: /livez, /readyz."""

import os
import socket
from time import perf_counter
from typing import Any

import structlog
from flask import Blueprint, Flask, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from events import heartbeat, reading
from events.admin import queues
from events.db_errors import describe_error, unavailable_reason

log = structlog.get_logger()
bp = Blueprint("health", __name__)
_LAST_HEARTBEAT = "tidings-last-heartbeat"


@bp.get("/livez")
def livez() -> ResponseReturnValue:
    """Answer as long as the process can."""
    return {"status": "alive"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 if an order would be accepted. A broker that is down is reported, not fatal."""
    try:
        _send_heartbeat()
        with reading() as session:
            return {"status": "ready", "database": "up", **_relay_and_broker(session)}
    except SQLAlchemyError as error:
        log.error("readiness.failed", database=describe_error(error))
        return {
            "status": "not ready",
            "database": "cannot save" if unavailable_reason(error) else "down",
        }, 503


def _send_heartbeat() -> None:
    """Write to the database, because one that can only be read accepts no order.

    Once per interval, not at every probe: each write waits for the disk.
    """
    last = current_app.extensions.get(_LAST_HEARTBEAT, float("-inf"))
    if perf_counter() - last > heartbeat.INTERVAL:
        heartbeat.beat(f"web@{socket.gethostname()}:{os.getpid()}", "web")
        current_app.extensions[_LAST_HEARTBEAT] = perf_counter()


def _relay_and_broker(session: Session) -> dict[str, Any]:
    relays = heartbeat.live_relays(session)
    if not relays:
        return {"relay": "down", "broker": "unknown"}
    states = {heartbeat.broker_state(each): each.trouble for each in relays}
    worst = next(state for state in ("down", "blocked", "up") if state in states)
    found: dict[str, Any] = {"relay": "up", "broker": worst}
    if worst == "blocked":
        found["trouble"] = states[worst]
    if unserved := queues.without_worker(session):
        found["queues_without_worker"] = unserved
    if troubles := heartbeat.queue_troubles(session):
        found["queues"] = troubles
    if any(relay.deaf for relay in relays):
        found["notifications"] = "unheard"
    return found


def init_app(app: Flask) -> None:
    """Add the addresses of this module to `app`."""
    app.register_blueprint(bp)
