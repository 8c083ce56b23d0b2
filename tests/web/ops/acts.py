"""A request to each endpoint that acts, and the arguments of each command that does."""

import json
from collections.abc import Callable
from typing import Any

from events.replays.tables import JobState
from tests.web.ops.states import (
    GROUP,
    PATCH,
    SUBSCRIPTION,
    Shop,
    fresh_subscription,
    on_hold,
    patch_file,
    patched,
    paused,
    replaying,
    saved_view,
)

# The request to each endpoint: its address and its body.
ACTIONS: dict[str, Callable[[Shop], tuple[str, dict[str, Any]]]] = {
    "ops_api.replay_one": lambda shop: (
        f"/api/v1/dead-letters/{shop.letter}/replay",
        {"why": "because"},
    ),
    "ops_api.discard_one": lambda shop: (
        f"/api/v1/dead-letters/{shop.letter}/discard",
        {"why": "because"},
    ),
    "ops_api.replay_many": lambda shop: (
        "/api/v1/dead-letters/replay",
        {"everything": True, "why": "because"},
    ),
    "ops_api.discard_many": lambda shop: (
        "/api/v1/dead-letters/discard",
        {"queue": "payment", "why": "because"},
    ),
    "repairs_api.edit_one": lambda shop: (
        f"/api/v1/dead-letters/{shop.letter}/edit",
        {"patch": PATCH, "why": "because"},
    ),
    "repairs_api.edit_many": lambda shop: (
        "/api/v1/dead-letters/edit",
        {"subscription": SUBSCRIPTION, "patch": PATCH, "why": "because"},
    ),
    "ops.edits.edit": lambda shop: (
        f"/ops/dead-letters/{shop.letter}/edit",
        {"data": patched(shop), "apply": "yes", "reason": "because"},
    ),
    "ops.group_edits.edit": lambda shop: (
        "/ops/dead-letters/edit",
        GROUP | {"patch": json.dumps(PATCH), "apply": "yes"},
    ),
    "invalid_messages_api.discard_invalid_message": lambda shop: (
        f"/api/v1/invalid-messages/{shop.invalid_message_id}/discard",
        {"why": "because"},
    ),
    "ops_api.replay_order": lambda shop: (
        f"/api/v1/orders/{shop.order_id}/replay",
        {"why": "because"},
    ),
    "products_api.restock_product": lambda shop: (
        "/api/v1/products/MUG-BLUE/restock",
        {"quantity": 5, "why": "because"},
    ),
    "replays_api.replay_again": lambda shop: (
        f"/api/v1/replays/{replaying(JobState.STOPPED)}/again",
        {"canary": True, "why": "because"},
    ),
    "alerts_api.send_test": lambda shop: ("/api/v1/alerts/test", {"why": "because"}),
    "ops.alerts.send_test": lambda shop: ("/ops/alerts/test", {"reason": "because"}),
    "breakers_api.hold": lambda shop: ("/api/v1/breakers/payment/hold", {"why": "because"}),
    "breakers_api.close": lambda shop: (
        f"/api/v1/breakers/{on_hold()}/close",
        {"why": "because"},
    ),
    "breakers_api.switch_replays": lambda shop: (
        "/api/v1/breakers/payment/replays",
        {"on": False, "why": "because"},
    ),
    "ops.breakers.switch_replays": lambda shop: (
        "/ops/breakers/smtp/replays/off",
        {"reason": "because"},
    ),
    "ops.breakers.hold": lambda shop: ("/ops/breakers/smtp/hold", {"reason": "because"}),
    "ops.breakers.close": lambda shop: (
        f"/ops/breakers/{on_hold()}/close",
        {"reason": "because"},
    ),
    "replays_api.start_replay": lambda shop: (
        "/api/v1/replays",
        {"queue": "payment", "why": "because"},
    ),
    "replays_api.pause_replay": lambda shop: (
        f"/api/v1/replays/{replaying(JobState.RUNNING)}/pause",
        {"why": "because"},
    ),
    "replays_api.resume_replay": lambda shop: (
        f"/api/v1/replays/{replaying(JobState.PAUSED)}/resume",
        {"why": "because"},
    ),
    "replays_api.stop_replay": lambda shop: (
        f"/api/v1/replays/{replaying(JobState.RUNNING)}/stop",
        {"why": "because"},
    ),
    "ops.replays.backfill": lambda shop: (
        "/ops/replays/backfill",
        {"subscription": fresh_subscription(), "reason": "because"},
    ),
    "ops.replays.again": lambda shop: (
        f"/ops/replays/{replaying(JobState.STOPPED)}/again",
        {"reason": "because"},
    ),
    "ops.replays.pause": lambda shop: (
        f"/ops/replays/{replaying(JobState.RUNNING)}/pause",
        {"reason": "because"},
    ),
    "ops.replays.resume": lambda shop: (
        f"/ops/replays/{replaying(JobState.PAUSED)}/resume",
        {"reason": "because"},
    ),
    "ops.replays.stop": lambda shop: (
        f"/ops/replays/{replaying(JobState.PAUSED)}/stop",
        {"reason": "because"},
    ),
    "ops_api.pause": lambda shop: (
        f"/api/v1/subscriptions/{SUBSCRIPTION}/pause",
        {"why": "because"},
    ),
    "ops_api.resume": lambda shop: (
        f"/api/v1/subscriptions/{paused()}/resume",
        {"why": "because"},
    ),
    "products_api.add_product": lambda shop: (
        "/api/v1/products",
        {
            "sku": "CUP",
            "name": "Cup",
            "price": {"amount": 900, "currency": "EUR"},
            "why": "because",
        },
    ),
    "api.cancel_order": lambda shop: (
        f"/api/v1/orders/{shop.order_id}/cancel",
        {"why": "because"},
    ),
    "ops.dead_letters.replay": lambda shop: ("/ops/dead-letters/replay", GROUP),
    "ops.dead_letters.discard": lambda shop: ("/ops/dead-letters/discard", GROUP),
    "ops.triage.change": lambda shop: (
        "/ops/dead-letters/triage",
        GROUP | {"state": "on hold", "owner": "ada", "note": "", "link": "", "version": ""},
    ),
    "dead_letters_api.triage_group": lambda shop: (
        "/api/v1/dead-letters/triage",
        {"subscription": SUBSCRIPTION, "fingerprint": "ValueError here", "state": "closed"}
        | {"why": "because"},
    ),
    "ops.dead_letters.replay_one": lambda shop: (
        f"/ops/dead-letters/{shop.letter}/replay",
        {"reason": "because"},
    ),
    "ops.dead_letters.discard_one": lambda shop: (
        f"/ops/dead-letters/{shop.letter}/discard",
        {"reason": "because"},
    ),
    "ops.dead_letters.discard_invalid_message": lambda shop: (
        f"/ops/dead-letters/invalid-messages/{shop.invalid_message_id}/discard",
        {"reason": "because"},
    ),
    "ops.orders.cancel": lambda shop: (
        f"/ops/orders/{shop.order_id}/cancel",
        {"reason": "because"},
    ),
    "ops.orders.replay": lambda shop: (
        f"/ops/orders/{shop.order_id}/replay",
        {"reason": "because"},
    ),
    "ops.products.restock": lambda shop: (
        "/ops/products/MUG-BLUE",
        {"quantity": "5", "reason": "because"},
    ),
    "ops.views.save": lambda shop: (
        "/ops/views",
        {"page": "events", "name": "late", "q": "type:order.created", "reason": "because"},
    ),
    "ops.views.remove": lambda shop: (
        "/ops/views/remove",
        {"page": "events", "name": saved_view(), "reason": "because"},
    ),
    "views_api.save_view": lambda shop: (
        "/api/v1/views",
        {"page": "events", "name": "late", "query": "type:order.created", "why": "because"},
    ),
    "views_api.remove_view": lambda shop: (
        "/api/v1/views/remove",
        {"page": "events", "name": saved_view(), "why": "because"},
    ),
    "ops.queues.pause": lambda shop: (f"/ops/queues/{SUBSCRIPTION}/pause", {"reason": "because"}),
    "ops.queues.resume": lambda shop: (f"/ops/queues/{paused()}/resume", {"reason": "because"}),
    "ops.product.add": lambda shop: (
        "/ops/products/new",
        {"sku": "CUP", "name": "Cup", "price": "9.00", "currency": "EUR", "stock": "1"}
        | {"reason": "because"},
    ),
    "ops.product.change": lambda shop: (
        "/ops/products/MUG-BLUE/change",
        {"name": "Mug", "price": "9.00", "currency": "EUR", "reason": "because"},
    ),
}
# The arguments of each command that changes data.
COMMANDS: dict[str, Callable[[Shop], tuple[str, ...]]] = {
    "dead-letters replay": lambda shop: (shop.letter,),
    "dead-letters triage": lambda shop: (
        *("--subscription", SUBSCRIPTION, "--fingerprint", "ValueError here"),
        *("--state", "on hold"),
    ),
    "dead-letters discard": lambda shop: ("--all",),
    "views save": lambda shop: ("events", "late", "type:order.created"),
    "views remove": lambda shop: ("events", saved_view()),
    "subscriptions remove": lambda shop: (SUBSCRIPTION, "--yes"),
    "pause": lambda shop: (SUBSCRIPTION,),
    "resume": lambda shop: (paused(),),
    "backfill": lambda shop: (fresh_subscription(),),
    "dead-letters edit": lambda shop: (shop.letter, "--patch", patch_file()),
    "alerts test": lambda shop: (),
    "breakers replays": lambda shop: ("carrier", "off"),
    "breakers hold": lambda shop: ("carrier",),
    "breakers close": lambda shop: (on_hold(),),
    "replays start": lambda shop: ("--all", "--canary", "--rate", "2"),
    "replays pause": lambda shop: (str(replaying(JobState.RUNNING)),),
    "replays resume": lambda shop: (str(replaying(JobState.PAUSED)),),
    "replays stop": lambda shop: (str(replaying(JobState.PAUSED)),),
    "replays again": lambda shop: (str(replaying(JobState.STOPPED)), "--canary"),
    "invalid-messages discard": lambda shop: (str(shop.invalid_message_id),),
    "orders cancel": lambda shop: (shop.order_id,),
    "orders replay": lambda shop: ("ORD-1001",),
    "products restock": lambda shop: ("MUG-BLUE", "5"),
    "prune": lambda shop: (),
    "erase": lambda shop: ("--email", "ada@example.org", "--yes", "--force"),
    "products add": lambda shop: ("CUP", "--name", "Cup", "--price", "9.00", "EUR"),
    "products change": lambda shop: ("MUG-BLUE", "--stock", "7"),
    "sandbox": lambda shop: ("payment", "--down"),
}
