"""Sending: put due deliveries into task messages, as many as the window has room for.

They are marked as sent and committed first, so that no network call is in a transaction.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from events import breakers, clock, ledger
from events.database import reading
from events.errors import BrokerDown, QueueUnavailable
from events.ledger import IS_TO_SEND
from events.messages import Message, Transport
from events.observers import Sending, note_sent
from events.relay.fanout import label, new_message
from events.relay.window import Traffic
from events.suspects import ISOLATE_AFTER_LOSSES, count_in_flight, hold_back_suspects, is_suspect
from events.tables import DELIVERIES, EVENTS, LogEntry, delivery_id

SEND_BATCH = 1000  # deliveries of one subscription in one transaction

_D = DELIVERIES.c
_DUE = (
    select(_D.event_id, _D.queue, _D.sends, _D.attempts, _D.lost_count, _D.unfinished_starts)
    .where(_D.subscription == bindparam("name"), IS_TO_SEND, _D.due_at <= bindparam("now"))
    .order_by(_D.due_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_DUE_OTHERS = _DUE.where(_D.lost_count < ISOLATE_AFTER_LOSSES)


def mark_due_as_sent(session: Session, subscription: Traffic) -> list[Message]:
    """Mark due deliveries of one subscription as sent; return their messages.

    A suspect is alone in its message: its neighbours are not punished for it.
    """
    if subscription.room <= 0 or subscription.due_at is None:
        return []
    due = _find_due(session, subscription)
    chosen = set(hold_back_suspects(session, subscription.name, due))
    groups = _groups(session, subscription, [row for row in due if row.event_id in chosen])
    labels = _labels(session, [group[0].event_id for group in groups])
    messages = []
    for group in groups:
        first, ids = group[0], tuple(row.event_id for row in group)
        message = new_message(
            subscription,
            ids,
            sends=first.sends + 1,
            retries=first.attempts,
            label=labels[first.event_id],
        )
        ledger.mark_sent(session, subscription.name, ids, message=message.id)
        messages.append(message)
    subscription.room -= len(messages)
    return messages


def _find_due(session: Session, subscription: Traffic) -> Sequence[Any]:
    """Return due deliveries, the earliest first; the others for all the room beside suspects.

    Suspects that wait at the head of a backlog would leave the others no row.
    """
    limit = min(SEND_BATCH, subscription.room * subscription.size)
    found = {"name": subscription.name, "now": clock.now(), "limit": limit}
    due: Sequence[Any] = session.execute(_DUE, found).all()
    suspects = [row for row in due if is_suspect(row.lost_count)]
    return [*suspects, *session.execute(_DUE_OTHERS, found).all()] if suspects else due


def _groups(
    session: Session, subscription: Traffic, rows: Sequence[Any]
) -> Sequence[Sequence[Any]]:
    """Divide rows into messages, as many as there is room for; suspects go alone, and last.

    Others leave room for as many suspects as the queue has slots, and suspects take no more of it.
    """
    together = sorted(
        (row for row in rows if not is_suspect(row.lost_count)), key=lambda row: row.event_id
    )
    size, room = subscription.divide(len(together)), subscription.room
    groups = [together[start : start + size] for start in range(0, len(together), size)]
    alone = [[row] for row in rows if is_suspect(row.lost_count)]
    if alone and len(groups) + len(alone) > room:
        places = subscription.slots - count_in_flight(session, subscription.name)
        alone = alone[: min(room, max(places, room - len(groups), 0))]
    return groups[: room - len(alone)] + alone


def _labels(session: Session, ids: Iterable[UUID]) -> dict[UUID, str]:
    found = select(LogEntry.id, LogEntry.type, LogEntry.subject).where(LogEntry.id.in_(list(ids)))
    return {
        event_id: label(event_type, subject)
        for event_id, event_type, subject in session.execute(found)
    }


def send(transport: Transport, messages: Sequence[Message]) -> Mapping[str, QueueUnavailable]:
    """Hand messages to the broker, and tell the observers; return the queues that refuse theirs.

    Raises `BrokerDown`.
    """
    began = time.time_ns()
    refused: Mapping[str, QueueUnavailable | BrokerDown] = {}
    try:
        refused = answer = transport.send(messages)
    except BrokerDown as error:
        refused = dict.fromkeys((message.queue for message in messages), error)
        raise
    finally:
        note_sent(Sending(messages, began, refused, partial(_traceparents, messages)))
    return answer


def _traceparents(messages: Iterable[Message]) -> dict[UUID, str | None]:
    ids = [event_id for message in messages for event_id in message.event_ids]
    found = select(EVENTS.c.id, EVENTS.c.traceparent).where(EVENTS.c.id.in_(ids))
    with reading() as session:
        return {row.id: row.traceparent for row in session.execute(found)}


def unmark_sent(session: Session, messages: Iterable[Message]) -> None:
    """Make the deliveries due again whose messages the broker refused.

    A copy that arrived after all is absorbed by the claim.
    """
    refused = list(messages)
    breakers.forget_unsent(
        session, [delivery_id(each.event_ids[0], each.subscription) for each in refused]
    )
    for message in refused:
        ledger.unmark_sent(session, message.subscription, message.event_ids)
