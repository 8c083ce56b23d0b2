"""The command and the API call that do the same as a form of the desk, to copy into a runbook."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app, url_for

from web.roles import endpoint_of

WHY = "REASON"  # stands for what the person has to write
Values = Mapping[str, Any]
Body = Callable[[Values], dict[str, Any]]


@dataclass(frozen=True)
class Act:
    """The act of a form as a command and as a call of the API."""

    command: str
    call: str


@dataclass(frozen=True)
class Recipe:
    """The words of a command, and an endpoint of the API with its body; values fill both in."""

    words: str
    endpoint: str
    body: Body = lambda _: {}
    is_audited: bool = True  # it needs a reason

    def act(self, values: Values) -> Act:
        """Return the act with these values."""
        why = ["--why", WHY] if self.is_audited else []
        words = [word.format_map(values) for word in self.words.split()]
        body = self.body(values) | ({"why": WHY} if self.is_audited else {})
        return Act(shlex.join(["tidings", *words, *why]), self._call(values, body))

    def _call(self, values: Values, body: dict[str, Any]) -> str:
        rule = next(current_app.url_map.iter_rules(self.endpoint))
        given = {name: values[_NAMES.get(name, name)] for name in rule.arguments}
        url = url_for(self.endpoint, _external=True, **given)
        method = ["--request", "PATCH"] if "PATCH" in (rule.methods or ()) else []
        sent = json.dumps(body, ensure_ascii=False)
        return shlex.join(["curl", "--user", "USER", *method, "--json", sent, url])


def _group(values: Values) -> dict[str, Any]:
    return {name: values[name] for name in ("subscription", "fingerprint")}


_NAMES = {"sku": "typed_sku"}
_GROUP = "--subscription {subscription} --fingerprint {fingerprint}"
PATCH = [{"op": "replace", "path": "/PATH", "value": "VALUE"}]
RECIPES = {
    "ops.alerts.send_test": Recipe("alerts test", "alerts_api.send_test"),
    "ops.breakers.hold": Recipe("breakers hold {dependency}", "breakers_api.hold"),
    "ops.breakers.close": Recipe("breakers close {dependency}", "breakers_api.close"),
    "ops.breakers.switch_replays": Recipe(
        "breakers replays {dependency} {state}",
        "breakers_api.switch_replays",
        lambda values: {"on": values["state"] == "on"},
    ),
    "ops.dead_letters.replay": Recipe(
        f"dead-letters replay {_GROUP}", "replays_api.start_replay", _group
    ),
    "ops.dead_letters.discard": Recipe(
        f"dead-letters discard {_GROUP}", "ops_api.discard_many", _group
    ),
    "ops.dead_letters.replay_one": Recipe(
        "dead-letters replay {delivery_id}", "ops_api.replay_one"
    ),
    "ops.dead_letters.discard_one": Recipe(
        "dead-letters discard {delivery_id}", "ops_api.discard_one"
    ),
    "ops.dead_letters.discard_invalid_message": Recipe(
        "invalid-messages discard {message_id}", "invalid_messages_api.discard_invalid_message"
    ),
    "ops.dry_runs.show": Recipe(
        "dead-letters dry-run {delivery_id}", "repairs_api.run_dry", is_audited=False
    ),
    "ops.dry_runs.show_sample": Recipe(
        f"dead-letters dry-run {_GROUP} --sample {{sample}}",
        "repairs_api.run_sample_dry",
        lambda values: _group(values) | {"sample": values["sample"]},
        is_audited=False,
    ),
    "ops.edits.edit": Recipe(
        "dead-letters edit {delivery_id} --patch patch.json",
        "repairs_api.edit_one",
        lambda _: {"patch": PATCH},
    ),
    "ops.group_edits.edit": Recipe(
        f"dead-letters edit {_GROUP} --patch patch.json",
        "repairs_api.edit_many",
        lambda values: _group(values) | {"patch": PATCH},
    ),
    "ops.triage.change": Recipe(
        f"dead-letters triage {_GROUP} --owner OWNER",
        "dead_letters_api.triage_group",
        lambda values: _group(values) | {"owner": "OWNER"},
    ),
    "ops.orders.cancel": Recipe("orders cancel {order_id}", "api.cancel_order"),
    "ops.orders.replay": Recipe("orders replay {order_id}", "ops_api.replay_order"),
    "ops.views.save": Recipe(
        "views save {page} NAME {q}",
        "views_api.save_view",
        lambda values: {"page": values["page"], "name": "NAME", "query": values["q"]},
    ),
    "ops.views.remove": Recipe(
        "views remove {page} {name}",
        "views_api.remove_view",
        lambda values: {"page": values["page"], "name": values["name"]},
    ),
    "ops.queues.pause": Recipe("pause {name}", "ops_api.pause"),
    "ops.queues.resume": Recipe("resume {name}", "ops_api.resume"),
    "ops.replays.again": Recipe(
        "replays again {number} --canary", "replays_api.replay_again", lambda _: {"canary": True}
    ),
    "ops.replays.backfill": Recipe(
        "backfill {subscription}",
        "replays_api.start_replay",
        lambda values: {"kind": "backfill", "subscription": values["subscription"]},
    ),
    "ops.replays.pause": Recipe("replays pause {number}", "replays_api.pause_replay"),
    "ops.replays.resume": Recipe("replays resume {number}", "replays_api.resume_replay"),
    "ops.replays.stop": Recipe("replays stop {number}", "replays_api.stop_replay"),
    "ops.product.add": Recipe(
        "products add SKU --name NAME --price 12.50 EUR",
        "products_api.add_product",
        lambda _: {"sku": "SKU", "name": "NAME", "price": {"amount": 1250, "currency": "EUR"}},
    ),
    "ops.product.change": Recipe(
        "products change {typed_sku} --name NAME",
        "products_api.change_product",
        lambda _: {"name": "NAME"},
    ),
    "ops.products.restock": Recipe(
        "products restock {typed_sku} 10",
        "products_api.restock_product",
        lambda _: {"quantity": 10},
    ),
}


def runbook_of(action: str, values: Values) -> Act | None:
    """Return the act of a form that is sent to `action`; `values` are what the form chooses."""
    endpoint, arguments = endpoint_of(action)
    recipe = RECIPES.get(endpoint)
    return recipe.act({**values, **arguments}) if recipe else None
