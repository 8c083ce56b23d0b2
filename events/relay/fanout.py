"""Fan-out: one delivery for each subscription to an event, as the event is marked relayed."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from events import clock, ledger
from events.dialects import dialect_of
from events.messages import Message
from events.relay.window import Traffic, by_event_type
from events.tables import EVENTS, delivery_id

FAN_OUT_BATCH = 200  # events in one transaction, so that nobody waits long for the database

_E = EVENTS.c
# An event without a time of its own is due at once, whatever the clock of its publisher says.
IS_DUE = or_(_E.publish_at <= bindparam("now"), _E.publish_at == _E.time)
_WAITING = (
    select(_E.position, _E.id, _E.type, _E.subject, _E.publish_at)
    .where(_E.relayed_at.is_(None), IS_DUE)
    .order_by(_E.position)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


@cache
def _relayed(dialect: Any) -> Any:
    chosen = dialect.is_one_of(_E.position, "positions")
    return update(EVENTS).where(chosen).values(relayed_at=bindparam("now"))


def fan_out(
    session: Session, subscriptions: Sequence[Traffic], *, limit: int = FAN_OUT_BATCH
) -> tuple[int, list[Message]]:
    """Give up to `limit` events their deliveries; return the number of events, and messages.

    A delivery whose subscription has room and no backlog is inserted as sent, in a message that the
    caller sends after the commit; any other one is inserted as due. Events are found by their
    missing mark, never by "position greater than the last seen": on PostgreSQL a lower position may
    commit after a higher one.
    """
    now = clock.now()
    dialect, connection = dialect_of(session), session.connection()
    events = dialect.fetch(connection, _WAITING, {"now": now, "limit": limit})
    if not events:
        return 0, []
    subscribers = by_event_type(subscriptions)
    rows: list[dict[str, Any]] = []
    wanted: defaultdict[str, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for _, event_id, event_type, subject, due_at in events:
        for each in subscribers.get(event_type, ()):
            row = ledger.new_delivery(each.name, each.queue, event_id, min(due_at, now))
            rows.append(row)
            wanted[each.name].append((row, label(event_type, subject)))
    messages = [
        message
        for each in subscriptions
        if each.due_at is None and wanted[each.name]
        for message in _send_at_once(each, wanted[each.name], now)
    ]
    ledger.insert_deliveries(session, rows)
    marked = {"positions": [each.position for each in events], "now": now}
    dialect.fetch(connection, _relayed(dialect), marked)
    return len(events), messages


def _send_at_once(
    subscription: Traffic, rows: Sequence[tuple[dict[str, Any], str]], now: datetime
) -> list[Message]:
    """Put as many of the new rows into messages as there is room for."""
    messages = []
    size = subscription.divide(len(rows))
    for start in range(0, min(len(rows), max(0, subscription.room) * size), size):
        group = rows[start : start + size]
        ids = tuple(row["event_id"] for row, _ in group)
        message = new_message(subscription, ids, sends=1, retries=0, label=group[0][1])
        for row, _ in group:
            row.update(sent_at=now, sends=1, message=message.id)
        messages.append(message)
    subscription.room -= len(messages)
    return messages


def new_message(
    subscription: Traffic, ids: tuple[UUID, ...], *, sends: int, retries: int, label: str
) -> Message:
    """Make the task message for these deliveries; `sends` and `retries` are those of the first."""
    more = len(ids) - 1
    return Message(
        id=f"{delivery_id(ids[0], subscription.name)}:{sends}",
        subscription=subscription.name,
        queue=subscription.queue,
        event_ids=ids,
        retries=retries,
        label=f"{label}, {more} more" if more else label,
    )


def label(event_type: str, subject: str | None) -> str:
    """Return the text that Flower shows for an event; it holds no personal data."""
    return f"{event_type} {subject}" if subject else event_type
