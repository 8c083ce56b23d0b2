"""The HTTP API for operators: orders, events, dead letters, subscriptions and queues."""

import json
from dataclasses import asdict
from typing import Any

from flask import Response, g, url_for
from pydantic import BaseModel

from events import log, reading, transaction
from events.admin import dead_letters, event_catalog, queues, replays, subscriptions, triage
from events.admin.dead_letters import NothingToDiscard
from events.search import dead, find
from tasks import impact, order_replays, orders
from tasks.search_fields import dead_letters_query
from web.api import operators
from web.api.catalog_schemas import CatalogOut, catalog_event
from web.api.dead_letter_schemas import DeadLetterOut, DeadLetters, GroupOut, ImpactOut
from web.api.operators import change_problems
from web.api.ops_schemas import (
    Because,
    Changed,
    DeadLetterPath,
    DeadLetterQuery,
    EventQuery,
    Events,
    OrderRow,
    Orders,
    PageQuery,
    QueueOut,
    Queues,
    SubscriptionOut,
    SubscriptionPath,
    Subscriptions,
)
from web.api.replay_schemas import ReplayOut
from web.api.replays import accepted
from web.api.schemas import LoginOut, OrderPath
from web.api.selections import DeadLetterSelection
from web.security import operator_name

bp = operators.blueprint("ops_api", __name__)


def _json(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")


@bp.get("/whoami", responses={200: LoginOut})
def show_login() -> dict[str, Any]:
    """Show the name and the role of the login."""
    return _json(LoginOut(user=operator_name(), role=g.ops_role))


@bp.get("/orders", responses={200: Orders})
def list_orders(query: PageQuery) -> dict[str, Any]:
    """List the latest orders."""
    with reading() as session:
        rows = orders.listed(session, limit=query.limit, before=query.before)
        views = [OrderRow.model_validate(row) for row in rows]
    older = (
        url_for(".list_orders", limit=query.limit, before=rows[-1].key)
        if len(rows) == query.limit
        else None
    )
    return _json(Orders(orders=views, next=older))


@bp.post("/orders/<uuid:order_id>/replay", responses={202: ReplayOut, **change_problems(409)})
def replay_order(path: OrderPath, body: Because) -> Response:
    """Start a job that replays every dead letter of an order."""
    with transaction() as session:
        order_id = str(path.order_id)
        job = order_replays.replay(session, order_id, who=operator_name(), why=body.why)
    return accepted(job)


@bp.get("/events", responses={200: Events})
def list_events(query: EventQuery) -> dict[str, Any]:
    """List the latest events of the log as CloudEvents."""
    with reading() as session:
        found = find.events(session, query.wanted(), before=query.before, limit=query.limit)
    older = None
    if found.older:
        parameters = query.model_dump(exclude_none=True, by_alias=True)
        older = url_for(".list_events", **parameters | {"before": found.older})
    cloud_events = [json.loads(log.envelope(entry).to_json()) for entry in found.rows]
    return _json(Events(events=cloud_events, next=older, note=found.note))


@bp.get("/dead-letters", responses={200: DeadLetters})
def list_dead_letters(query: DeadLetterQuery) -> dict[str, Any]:
    """List the matching dead letters, and the groups of all dead letters."""
    given = query.model_dump(exclude={"q", "before"})
    before = dead.cursor(query.before) if query.before else None
    with reading() as session:
        found = dead.search(session, dead_letters_query(query.q or ""), before=before, **given)
        ranking = impact.ranked(session, dead_letters.groups(session))
        noted = triage.of_groups(session, [group for group, _ in ranking.rows])
    groups = [
        GroupOut.model_validate({**asdict(group), "impact": held_up, "triage": each})
        for (group, held_up), each in zip(ranking.rows, noted, strict=True)
    ]
    total = ImpactOut.model_validate(ranking.total)
    letters = [DeadLetterOut.model_validate(letter) for letter in found.rows]
    older = _older_dead_letters(query, found.older)
    page = DeadLetters(
        dead_letters=letters, groups=groups, impact=total, next=older, note=found.note
    )
    return _json(page)


def _older_dead_letters(query: DeadLetterQuery, before: dead.Cursor | None) -> str | None:
    if before is None:
        return None
    given = query.model_dump(exclude_none=True) | {"before": dead.written(before)}
    return url_for(".list_dead_letters", **given)


@bp.post(
    "/dead-letters/<delivery_id>/replay",
    responses={200: Changed, **change_problems(409)},
)
def replay_one(path: DeadLetterPath, body: Because) -> dict[str, Any]:
    """Replay a dead letter, with all its attempts before it."""
    with transaction() as session:
        replays.start(session, who=operator_name(), why=body.why, ids=[path.delivery_id])
    return _json(Changed(changed=1))


@bp.post(
    "/dead-letters/<delivery_id>/discard",
    responses={200: Changed, **change_problems()},
)
def discard_one(path: DeadLetterPath, body: Because) -> dict[str, Any]:
    """Discard a dead letter. Its event stays in the log."""
    changed = dead_letters.discard(who=operator_name(), why=body.why, ids=[path.delivery_id])
    return _json(Changed(changed=changed))


@bp.post(
    "/dead-letters/replay",
    responses={202: ReplayOut, **change_problems(409)},
)
def replay_many(body: DeadLetterSelection) -> Response:
    """Start a job that replays the selected dead letters, as `POST /api/v1/replays` does."""
    with transaction() as session:
        selection = body.model_dump(exclude={"why"})
        job = replays.start(session, who=operator_name(), why=body.why, **selection)
    return accepted(job)


@bp.post("/dead-letters/discard", responses={200: Changed, **change_problems()})
def discard_many(body: DeadLetterSelection) -> dict[str, Any]:
    """Discard the selected dead letters. Their events stay in the log."""
    selection = body.model_dump(exclude={"why"})
    changed = dead_letters.discard(who=operator_name(), why=body.why, **selection)
    if not changed:
        raise NothingToDiscard
    return _json(Changed(changed=changed))


@bp.get("/subscriptions", responses={200: Subscriptions})
def list_subscriptions() -> dict[str, Any]:
    """List all subscriptions."""
    with reading() as session:
        rows = subscriptions.listed(session)
        views = [SubscriptionOut.model_validate(row) for row in rows]
    return _json(Subscriptions(subscriptions=views))


@bp.post(
    "/subscriptions/<name>/pause",
    responses={200: SubscriptionOut, **change_problems()},
)
def pause(path: SubscriptionPath, body: Because) -> dict[str, Any]:
    """Pause the sends of a subscription. Its backlog is kept."""
    with transaction() as session:
        subscriptions.pause(session, path.name, who=operator_name(), why=body.why)
        return _json(SubscriptionOut.model_validate(subscriptions.find(session, path.name)))


@bp.post(
    "/subscriptions/<name>/resume",
    responses={200: SubscriptionOut, **change_problems()},
)
def resume(path: SubscriptionPath, body: Because) -> dict[str, Any]:
    """Resume the sends of a subscription, beginning with its backlog."""
    with transaction() as session:
        subscriptions.resume(session, path.name, who=operator_name(), why=body.why)
        return _json(SubscriptionOut.model_validate(subscriptions.find(session, path.name)))


@bp.get("/catalog", responses={200: CatalogOut})
def list_catalog() -> dict[str, Any]:
    """List every version of every event, with its subscribers and how long each is retried."""
    with reading() as session:
        subscribers = event_catalog.of_database(session)
    events = [catalog_event(entry) for entry in event_catalog.entries(subscribers)]
    return _json(CatalogOut(events=events))


@bp.get("/queues", responses={200: Queues})
def list_queues() -> dict[str, Any]:
    """List all queues with backlog and workers, and what keeps them from working.

    `GET /stats` has their speed, their history and the figures of each subscription too.
    """
    with reading() as session:
        views = [QueueOut.model_validate(queue) for queue in queues.overview(session)]
    return _json(Queues(queues=views))
