"""Every action of an operator is audited: by page, API and command. New ones must be added here."""

from collections import Counter
from uuid import UUID

import click
import pytest
from flask import Flask
from sqlalchemy import func, select, update

from events import Database, reading, transaction
from events.admin import audit, invalid_messages
from events.admin import subscriptions as admin
from events.audit_tables import AuditEntry
from events.relay.round import do_round
from events.tables import Delivery, InvalidMessageRow
from tests.tidings.cli.calls import call, told
from tests.web.ops.acts import ACTIONS, COMMANDS
from tests.web.ops.states import SUBSCRIPTION, Shop
from tests.web.pages import shop_subscriptions
from tests.web.payloads import OPS, order_payload
from tests.worlds import Worlds
from tidings.cli import main

READS = (" list", " show", " dry-run", " export", " stuck", " preview")
READ_ONLY = {
    *("up", "restart", "web", "relay", "migrate", "demo", "chaos", "alive"),
    *("queues", "events", "doctor", "catalog", "contracts", "backup", "audit", "schedules"),
    *("processes", "stats"),
    "task",
    "trace",
}
ELSEWHERE = {"restore", "doubts"}  # their lines: tests/tidings/backup, tests/tasks/test_doubts.py


@pytest.fixture
def shop(app: Flask, database: Database, worlds: Worlds) -> Shop:
    app.config["WTF_CSRF_ENABLED"] = False
    return Shop(app, *worlds.enter("dead deliveries", database, lambda: with_dead_deliveries(app)))


def with_dead_deliveries(app: Flask) -> tuple[str, str, int]:
    """Make the shop; return the ids of its order, of a dead letter and of an invalid message."""
    with transaction() as session:
        admin.register(session, shop_subscriptions())
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
    return order["id"], f"{event_id}:{SUBSCRIPTION}", invalid_message


def lines() -> list[tuple[str, str]]:
    with reading() as session:
        return [(line.who, line.why) for line in audit.listed(session)]


@pytest.mark.parametrize("endpoint", ACTIONS)
def test_an_act_by_page_or_api_is_audited_with_who_and_why(shop: Shop, endpoint: str) -> None:
    address, sent = ACTIONS[endpoint](shop)
    options = {"data": sent} if endpoint.startswith("ops.") else {"json": sent}

    answer = shop.app.test_client().post(address, headers=OPS, **options)

    assert answer.status_code in (200, 201, 202, 204, 303), answer.text
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
    [needed] = sent.keys() & {"reason", "why"}
    without = {name: value for name, value in sent.items() if name != needed}
    options = {"data": without} if endpoint.startswith("ops.") else {"json": without}

    answer = shop.app.test_client().post(address, headers=OPS, **options)

    assert answer.status_code == 422
    assert needed in answer.text
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
    dry = {  # they change nothing
        *("repairs_api.run_dry", "ops.dry_runs.show"),
        *("repairs_api.run_sample_dry", "ops.dry_runs.show_sample"),
    }
    assert posts - customers - dry == set(ACTIONS)

    context = click.Context(main)
    commands = {
        name: main.get_command(context, name)
        for name in main.list_commands(context)
        if name not in READ_ONLY | ELSEWHERE
    }
    known = {
        f"{name} {below}".strip() for name, found in commands.items() for below in _below(found)
    }
    assert {name for name in known if not name.endswith(READS)} == set(COMMANDS)


def _below(command: click.Command | None) -> list[str]:
    return list(command.commands) if isinstance(command, click.Group) else [""]
