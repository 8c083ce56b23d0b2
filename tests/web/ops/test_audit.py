"""Every action of an operator is audited: by page, API and command. New ones must be added here."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import click
import pytest
from flask import Flask
from sqlalchemy import func, select, update

from events import clock, reading, subscriptions, transaction
from events.admin import audit, invalid_messages
from events.admin import subscriptions as admin
from events.audit_tables import AuditEntry
from events.relay.round import do_round
from events.tables import Delivery, InvalidMessageRow
from tests.tidings.cli.calls import call, told
from tests.web.payloads import OPS, order_payload
from tidings.cli import main

SUBSCRIPTION = "payment.charge_order"
READ_ONLY = {
    *("up", "restart", "web", "relay", "migrate", "demo", "chaos"),
    *("queues", "events", "doctor", "catalog", "contracts", "backup", "audit"),
}
ELSEWHERE = {"restore", "doubts"}  # their lines: tests/tidings/backup, tests/tasks/test_doubts.py


@dataclass(frozen=True)
class Shop:
    """A shop with one order, whose deliveries are all dead, and an invalid message."""

    app: Flask
    order_id: str
    letter: str
    invalid_message_id: int


@pytest.fixture
def shop(app: Flask) -> Shop:
    app.config["WTF_CSRF_ENABLED"] = False
    with transaction() as session:
        admin.register(
            session,
            [
                each
                for each in subscriptions.registered().values()
                if each.handler.__module__.startswith("tasks.")
            ],
        )
    order = app.test_client().post("/api/v1/orders", json=order_payload()).json
    assert order
    with transaction() as session:
        do_round(session, Counter(), can_send=False)
        session.execute(
            update(Delivery).values(
                state="dead", fingerprint="ValueError here", died_at=Delivery.due_at
            )
        )
        event_id: UUID | None = session.scalar(
            select(Delivery.event_id).where(Delivery.subscription == SUBSCRIPTION)
        )
        invalid_messages.keep(
            session, queue="payment", reason="test", error="", headers="{}", body=b""
        )
        invalid_message = session.scalar(select(InvalidMessageRow.id)) or 0
    return Shop(app, order["id"], f"{event_id}:{SUBSCRIPTION}", invalid_message)


def paused() -> str:
    """Pause the subscription without an operator, and return its name."""
    with transaction() as session:
        admin.find(session, SUBSCRIPTION).paused_at = clock.now()
    return SUBSCRIPTION


GROUP = {"only": f"{SUBSCRIPTION} ValueError here", "reason": "because"}
# The request to each endpoint: its address and its body.
ACTIONS: dict[str, Callable[[Shop], tuple[str, dict[str, Any]]]] = {
    "ops_api.replay_one": lambda shop: (
        f"/api/v1/dead-letters/{shop.letter}/replay",
        {"reason": "because"},
    ),
    "ops_api.discard_one": lambda shop: (
        f"/api/v1/dead-letters/{shop.letter}/discard",
        {"reason": "because"},
    ),
    "ops_api.replay_many": lambda shop: (
        "/api/v1/dead-letters/replay",
        {"everything": True, "reason": "because"},
    ),
    "ops_api.discard_many": lambda shop: (
        "/api/v1/dead-letters/discard",
        {"queue": "payment", "reason": "because"},
    ),
    "ops_api.pause": lambda shop: (
        f"/api/v1/subscriptions/{SUBSCRIPTION}/pause",
        {"reason": "because"},
    ),
    "ops_api.resume": lambda shop: (
        f"/api/v1/subscriptions/{paused()}/resume",
        {"reason": "because"},
    ),
    "products_api.add_product": lambda shop: (
        "/api/v1/products",
        {
            "sku": "CUP",
            "name": "Cup",
            "price": {"amount": 900, "currency": "EUR"},
            "reason": "because",
        },
    ),
    "api.cancel_order": lambda shop: (
        f"/api/v1/orders/{shop.order_id}/cancel",
        {"reason": "because"},
    ),
    "ops.dead_letters.replay": lambda shop: ("/ops/dead-letters/replay", GROUP),
    "ops.dead_letters.discard": lambda shop: ("/ops/dead-letters/discard", GROUP),
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
    "dead-letters discard": lambda shop: ("--all",),
    "subscriptions remove": lambda shop: (SUBSCRIPTION, "--yes"),
    "pause": lambda shop: (SUBSCRIPTION,),
    "resume": lambda shop: (paused(),),
    "backfill": lambda shop: (SUBSCRIPTION,),
    "prune": lambda shop: (),
    "erase": lambda shop: ("--email", "ada@example.org", "--yes", "--force"),
    "products add": lambda shop: ("CUP", "--name", "Cup", "--price", "9.00", "EUR"),
    "products change": lambda shop: ("MUG-BLUE", "--stock", "7"),
    "sandbox": lambda shop: ("payment", "--down"),
}


def lines() -> list[tuple[str, str]]:
    with reading() as session:
        return [(line.who, line.why) for line in audit.listed(session)]


@pytest.mark.parametrize("endpoint", ACTIONS)
def test_an_act_by_page_or_api_is_audited_with_who_and_why(shop: Shop, endpoint: str) -> None:
    address, sent = ACTIONS[endpoint](shop)
    options = {"data": sent} if endpoint.startswith("ops.") else {"json": sent}

    answer = shop.app.test_client().post(address, headers=OPS, **options)

    assert answer.status_code in (200, 201, 303), answer.text
    assert lines()
    assert {who for who, _ in lines()} == {"ada"}
    assert all("because" in why for _, why in lines())


@pytest.mark.parametrize("command", COMMANDS)
def test_an_act_by_command_is_audited(shop: Shop, command: str) -> None:
    told(*command.split(), *COMMANDS[command](shop), "--why", "because")

    assert lines()
    assert all("@" in who and "because" in why for who, why in lines())


# The sandbox is no part of a shop in production.
@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"sandbox"}))
def test_an_act_by_command_without_a_reason_is_refused_with_the_fix(
    shop: Shop, command: str
) -> None:
    refused = call(*command.split(), *COMMANDS[command](shop))

    assert refused.exit_code == 2
    assert 'add --why, such as --why "provider is back"' in refused.stderr
    assert lines() == []


@pytest.mark.parametrize("endpoint", ACTIONS)
def test_an_act_by_page_or_api_without_a_reason_is_refused_and_names_the_field(
    shop: Shop, endpoint: str
) -> None:
    address, sent = ACTIONS[endpoint](shop)
    without = {name: value for name, value in sent.items() if name != "reason"}
    options = {"data": without} if endpoint.startswith("ops.") else {"json": without}

    answer = shop.app.test_client().post(address, headers=OPS, **options)

    assert answer.status_code == 422
    assert "reason" in answer.text
    assert lines() == []


def test_an_act_that_is_refused_leaves_no_line(shop: Shop) -> None:
    for endpoint, act in ACTIONS.items():
        address, sent = act(shop)
        options = {"data": sent} if endpoint.startswith("ops.") else {"json": sent}
        assert shop.app.test_client().post(address, **options).status_code in (401, 403, 404)  # type: ignore[arg-type]
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 0


def test_no_act_is_missing_here(app: Flask) -> None:
    posts = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    patches = {
        rule.endpoint for rule in app.url_map.iter_rules() if "PATCH" in (rule.methods or ())
    }
    assert patches == {"products_api.change_product"}  # see tests/web/api/test_products.py
    customers = {"api.place_order", "shop.place_order", "shop.cancel_order"}
    assert posts - customers == set(ACTIONS)

    context = click.Context(main)
    commands = {
        name: main.get_command(context, name)
        for name in main.list_commands(context)
        if name not in READ_ONLY | ELSEWHERE
    }
    known = {
        f"{name} {below}".strip() for name, found in commands.items() for below in _below(found)
    }
    assert {name for name in known if not name.endswith((" list", " show"))} == set(COMMANDS)


def _below(command: click.Command | None) -> list[str]:
    return list(command.commands) if isinstance(command, click.Group) else [""]
