"""The HTTP API for operators: orders, the event log, dead letters, subscriptions and queues, under the ops login."""

import json
from typing import Any

from flask import url_for
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag
from pydantic import BaseModel

from events import log, reading, transaction
from events.admin import dead_letters, queues, subscriptions
from tasks import orders
from web.api.ops_schemas import (
    Changed,
    DeadLetterOut,
    DeadLetters,
    DeadList,
    DeadPath,
    EventFilter,
    Events,
    GroupOut,
    Many,
    OrderRow,
    Orders,
    Page,
    QueueOut,
    Queues,
    SubscriptionOut,
    SubscriptionPath,
    Subscriptions,
    Why,
)
from web.api.schemas import optional_body, problems
from web.security import require_ops, who

OPS = Tag(name="ops", description="What operators do")
LOGIN: list[dict[str, list[str]]] = [{"ops_login": []}]
bp = APIBlueprint(
    "ops_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[OPS],
    abp_security=LOGIN,
    abp_responses=problems(401, 422, 500, 503),
)
CHANGES = problems(400, 403, 404, 413, 415)


@bp.before_request
@require_ops
def log_in() -> None:
    """Ask for the ops login before anything else is looked at."""


def _answer(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")


@bp.get("/orders", responses={200: Orders})
def list_orders(query: Page) -> dict[str, Any]:
    """List the latest orders."""
    with reading() as session:
        found = orders.listed(session, limit=query.limit, before=query.before)
        rows = [OrderRow.model_validate(each) for each in found]
    older = (
        url_for(".list_orders", limit=query.limit, before=found[-1].key)
        if len(found) == query.limit
        else None
    )
    return _answer(Orders(orders=rows, next=older))


@bp.get("/events", responses={200: Events})
def list_events(query: EventFilter) -> dict[str, Any]:
    """List the latest events of the log as CloudEvents."""
    with reading() as session:
        entries = log.listed(session, **query.model_dump(exclude={"type"}), event_type=query.type)
    told = [json.loads(log.envelope(each).to_json()) for each in entries]
    more = (
        query.model_dump(exclude_none=True) | {"before": entries[-1].position}
        if len(entries) == query.limit
        else None
    )
    return _answer(Events(events=told, next=more and url_for(".list_events", **more)))


@bp.get("/dead-letters", responses={200: DeadLetters})
def list_dead_letters(query: DeadList) -> dict[str, Any]:
    """List dead letters, and all of them in groups that failed alike."""
    with reading() as session:
        letters = [
            DeadLetterOut.model_validate(each)
            for each in dead_letters.listed(session, **query.model_dump())
        ]
        groups = [GroupOut.model_validate(each) for each in dead_letters.groups(session)]
    return _answer(DeadLetters(dead_letters=letters, groups=groups))


@bp.post(
    "/dead-letters/<id>/replay",
    responses={200: Changed, **CHANGES},
    request_body=optional_body(Why),
)
def replay_one(path: DeadPath, body: Why) -> dict[str, Any]:
    """Try a dead letter again, from its first attempt on."""
    with transaction() as session:
        return _answer(
            Changed(changed=dead_letters.replay(session, who=who(), why=body.why, ids=[path.id]))
        )


@bp.post(
    "/dead-letters/<id>/discard",
    responses={200: Changed, **CHANGES},
    request_body=optional_body(Why),
)
def discard_one(path: DeadPath, body: Why) -> dict[str, Any]:
    """Give a dead letter up."""
    with transaction() as session:
        return _answer(
            Changed(changed=dead_letters.discard(session, who=who(), why=body.why, ids=[path.id]))
        )


@bp.post("/dead-letters/replay", responses={200: Changed, **CHANGES})
def replay_many(body: Many) -> dict[str, Any]:
    """Try every dead letter of a group or filter again."""
    with transaction() as session:
        return _answer(
            Changed(changed=dead_letters.replay(session, who=who(), **body.model_dump()))
        )


@bp.post("/dead-letters/discard", responses={200: Changed, **CHANGES})
def discard_many(body: Many) -> dict[str, Any]:
    """Give every dead letter of a group or filter up."""
    with transaction() as session:
        return _answer(
            Changed(changed=dead_letters.discard(session, who=who(), **body.model_dump()))
        )


@bp.get("/subscriptions", responses={200: Subscriptions})
def list_subscriptions() -> dict[str, Any]:
    """List every subscription."""
    with reading() as session:
        return _answer(
            Subscriptions(
                subscriptions=[
                    SubscriptionOut.model_validate(each) for each in subscriptions.listed(session)
                ]
            )
        )


@bp.post(
    "/subscriptions/<name>/pause",
    responses={200: SubscriptionOut, **CHANGES},
    request_body=optional_body(Why),
)
def pause(path: SubscriptionPath, body: Why) -> dict[str, Any]:
    """Stop a subscription's sends; its backlog is kept."""
    with transaction() as session:
        subscriptions.pause(session, path.name, who=who(), why=body.why)
        return _answer(SubscriptionOut.model_validate(subscriptions.find(session, path.name)))


@bp.post(
    "/subscriptions/<name>/resume",
    responses={200: SubscriptionOut, **CHANGES},
    request_body=optional_body(Why),
)
def resume(path: SubscriptionPath, body: Why) -> dict[str, Any]:
    """Send a subscription's backlog, and go on."""
    with transaction() as session:
        subscriptions.resume(session, path.name, who=who(), why=body.why)
        return _answer(SubscriptionOut.model_validate(subscriptions.find(session, path.name)))


@bp.get("/queues", responses={200: Queues})
def list_queues() -> dict[str, Any]:
    """List how every queue is doing."""
    with reading() as session:
        return _answer(
            Queues(queues=[QueueOut.model_validate(each) for each in queues.overview(session)])
        )
