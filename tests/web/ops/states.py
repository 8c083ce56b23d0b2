"""The states of a shop in which each act is possible."""

import json
import tempfile
from dataclasses import dataclass
from uuid import UUID

from flask import Flask
from sqlalchemy import delete, select, update

from events import breakers, clock, reading, transaction
from events.admin import subscriptions as admin
from events.admin.saved_views import SavedView
from events.replays.steps import planned
from events.replays.tables import JobState, Replay
from events.tables import Delivery, LogEntry

SUBSCRIPTION = "payment.charge_order"


@dataclass(frozen=True)
class Shop:
    """A shop with one order, whose deliveries are all dead, and an invalid message."""

    app: Flask
    order_id: str
    letter: str
    invalid_message_id: int


def paused() -> str:
    """Pause the subscription without an operator, and return its name."""
    with transaction() as session:
        admin.find(session, SUBSCRIPTION).paused_at = clock.now()
    return SUBSCRIPTION


def saved_view() -> str:
    """Save a view without an operator, and return its name."""
    with transaction() as session:
        view = SavedView(page="events", name="late", query="type:order.created", who="", why="")
        view.saved_at = clock.now()
        session.merge(view)
    return view.name


def on_hold() -> str:
    """Hold the breaker of the payment without an operator, and return its dependency."""
    with transaction() as session:
        breakers.hold(session, breakers.lock(session, "payment"), who="nobody", why="")
    return "payment"


def replaying(state: JobState) -> int:
    """Add a replay in this state without an operator, and return its number."""
    now = clock.now()
    job = Replay(
        kind="replay",
        state=state,
        total=1,
        stop_above=0.1,
        created_at=now,
        died_until=now,
        due_at=now,
        who="nobody",
        why="",
        steps=planned(()),
        selection={"queue": "nobody" if state is not JobState.STOPPED else "payment"},
    )
    with transaction() as session:
        session.add(job)
    return job.id


def fresh_subscription() -> str:
    """Remove the deliveries of the subscription, which then has a past, and return its name."""
    with transaction() as session:
        session.execute(delete(Delivery).where(Delivery.subscription == SUBSCRIPTION))
        session.execute(update(LogEntry).values(relayed_at=clock.now()))
    return SUBSCRIPTION


GROUP = {"only": f"{SUBSCRIPTION} ValueError here", "reason": "because"}
PATCH = [{"op": "replace", "path": "/payment_token", "value": "tok_flaky"}]


def patched(shop: Shop) -> str:
    """Return the payload of the dead letter with another token, as text."""
    with reading() as session:
        event_id = UUID(shop.letter.partition(":")[0])
        data = session.scalars(select(LogEntry.data).where(LogEntry.id == event_id)).one()
    return json.dumps(data | {"payment_token": "tok_flaky"})


def patch_file() -> str:
    """Write the patch into a file and return its name."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(PATCH, file)
    return file.name
