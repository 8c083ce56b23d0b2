"""The role that each address that changes something needs. A new one is declared here."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.routing import RequestRedirect

from tasks.ops_login import Role

CHANGES = ("POST", "PATCH", "PUT", "DELETE")
NEEDED: dict[str, Role] = {
    "ops.alerts.send_test": Role.OPERATOR,
    "alerts_api.send_test": Role.OPERATOR,
    "ops.breakers.hold": Role.OPERATOR,
    "ops.breakers.close": Role.OPERATOR,
    "ops.breakers.switch_replays": Role.OPERATOR,
    "breakers_api.switch_replays": Role.OPERATOR,
    "breakers_api.hold": Role.OPERATOR,
    "breakers_api.close": Role.OPERATOR,
    "ops.dead_letters.replay": Role.OPERATOR,
    "ops.dead_letters.replay_one": Role.OPERATOR,
    "ops.dead_letters.discard": Role.OPERATOR,
    "ops.dead_letters.discard_one": Role.OPERATOR,
    "ops.dead_letters.discard_invalid_message": Role.OPERATOR,
    "ops.dry_runs.show": Role.OPERATOR,
    "ops.dry_runs.show_sample": Role.OPERATOR,
    "repairs_api.run_sample_dry": Role.OPERATOR,
    "invalid_messages_api.discard_invalid_message": Role.OPERATOR,
    "ops_api.replay_order": Role.OPERATOR,
    "replays_api.replay_again": Role.OPERATOR,
    "repairs_api.run_dry": Role.OPERATOR,
    "ops.orders.replay": Role.OPERATOR,
    "ops.triage.change": Role.OPERATOR,
    "dead_letters_api.triage_group": Role.OPERATOR,
    "ops.views.save": Role.OPERATOR,
    "ops.views.remove": Role.OPERATOR,
    "views_api.save_view": Role.OPERATOR,
    "views_api.remove_view": Role.OPERATOR,
    "ops.queues.pause": Role.OPERATOR,
    "ops.queues.resume": Role.OPERATOR,
    "ops.replays.again": Role.OPERATOR,
    "ops.replays.backfill": Role.OPERATOR,
    "ops.replays.pause": Role.OPERATOR,
    "ops.replays.resume": Role.OPERATOR,
    "ops.replays.stop": Role.OPERATOR,
    "replays_api.start_replay": Role.OPERATOR,
    "replays_api.pause_replay": Role.OPERATOR,
    "replays_api.resume_replay": Role.OPERATOR,
    "replays_api.stop_replay": Role.OPERATOR,
    "ops_api.replay_one": Role.OPERATOR,
    "ops_api.replay_many": Role.OPERATOR,
    "ops_api.discard_one": Role.OPERATOR,
    "ops_api.discard_many": Role.OPERATOR,
    "ops_api.pause": Role.OPERATOR,
    "ops_api.resume": Role.OPERATOR,
    "ops.orders.cancel": Role.ADMINISTRATOR,  # money goes back
    "ops.edits.edit": Role.ADMINISTRATOR,  # it changes what a service is told
    "ops.group_edits.edit": Role.ADMINISTRATOR,
    "repairs_api.edit_one": Role.ADMINISTRATOR,
    "repairs_api.edit_many": Role.ADMINISTRATOR,
    "ops.product.add": Role.ADMINISTRATOR,
    "ops.product.change": Role.ADMINISTRATOR,
    "ops.products.restock": Role.ADMINISTRATOR,
    "products_api.add_product": Role.ADMINISTRATOR,
    "products_api.restock_product": Role.ADMINISTRATOR,
    "products_api.change_product": Role.ADMINISTRATOR,
    # With the order's token a customer may do the same.
    "api.cancel_order": Role.ADMINISTRATOR,
    "shop.cancel_order": Role.ADMINISTRATOR,
}
FOR_CUSTOMERS = frozenset({"api.place_order", "shop.place_order"})


class MissingRole(Forbidden):
    """The login is right, but its role may not do this."""

    name = "Missing role"

    def __init__(self, needed: Role, *, user: str, role: Role) -> None:
        super().__init__(
            f"This needs the role {needed}, and {user} is {_article(role)}. Ask "
            f"{_article(needed)} to do it, or to change the role in OPS_AUTH. Nothing was changed."
        )


def _article(role: Role) -> str:
    return f"{'a' if role is Role.VIEWER else 'an'} {role}"


def needed(endpoint: str, method: str) -> Role:
    """Return the role that a request needs; a change that nobody declared is for administrators."""
    if method not in CHANGES:
        return Role.VIEWER
    return NEEDED.get(endpoint, Role.ADMINISTRATOR)


def require_role() -> None:
    """Refuse a request of a login without the role that its address needs."""
    role = needed(request.endpoint or "", request.method)
    if not g.ops_role.covers(role):
        raise MissingRole(role, user=g.ops_user, role=g.ops_role)


def endpoint_of(action: str) -> tuple[str, Mapping[str, Any]]:
    """Return the endpoint to which a form is sent, and the values in its address; "" if none."""
    path = urlsplit(action).path.removeprefix(request.script_root)
    try:
        return current_app.url_map.bind("").match(path, method="POST")
    except (HTTPException, RequestRedirect):
        return "", {}


def missing_role(action: str) -> str:
    """Return the role that this login lacks for a form that is sent to `action`; empty if none."""
    held: Role | None = g.get("ops_role")
    endpoint = endpoint_of(action)[0]
    if held is None or not endpoint or endpoint in FOR_CUSTOMERS:
        return ""
    role = needed(endpoint, "POST")
    return "" if held.covers(role) else role


def init_app(app: Flask) -> None:
    """Let the templates disable what the login may not do."""
    app.add_template_global(missing_role)
