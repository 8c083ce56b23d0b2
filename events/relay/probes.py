"""Probes: one delivery at a time asks whether an unavailable dependency is back."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from events import breakers, clock, ledger
from events.ledger import IS_TO_SEND
from events.messages import Message
from events.relay.fanout import label, new_message
from events.relay.window import Traffic
from events.suspects import ISOLATE_AFTER_LOSSES, hold_back_suspects
from events.tables import DELIVERIES, LogEntry, delivery_id

_D = DELIVERIES.c
# Those first that are known to reach the dependency, and suspects last. Whoever failed is due
# later than the others, so that the probes take turns.
_CANDIDATE = (
    select(_D.event_id, _D.subscription, _D.queue, _D.sends, _D.attempts, _D.unfinished_starts)
    .where(_D.subscription.in_(bindparam("names", expanding=True)), IS_TO_SEND)
    .order_by(_D.lost_count >= ISOLATE_AFTER_LOSSES, _D.dependency.is_(None), _D.due_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def send_probes(session: Session, subscriptions: Iterable[Traffic]) -> list[Message]:
    """Mark one delivery of each open breaker as sent whose probe is due; return their messages."""
    waiting = [each for each in subscriptions if _is_due(each)]
    waiting.sort(key=lambda each: each.dependency or "")
    messages = []
    for dependency, group in groupby(waiting, key=lambda each: each.dependency or ""):
        messages += _send_probe(session, dependency, list(group))
    return messages


def _is_due(subscription: Traffic) -> bool:
    return subscription.probe_at is not None and subscription.probe_at <= clock.now()


def _send_probe(
    session: Session, dependency: str, subscriptions: Sequence[Traffic]
) -> list[Message]:
    breaker = breakers.start_probe(session, dependency)
    if breaker is None:
        return []
    by_name = {each.name: each for each in subscriptions}
    row: Any = session.execute(_CANDIDATE, {"names": list(by_name)}).first()
    if row is None or not hold_back_suspects(session, row.subscription, [row]):
        return []
    found = select(LogEntry.type, LogEntry.subject).where(LogEntry.id == row.event_id)
    event_type, subject = session.execute(found).one()
    message = new_message(
        by_name[row.subscription],
        (row.event_id,),
        sends=row.sends + 1,
        retries=row.attempts,
        label=label(event_type, subject),
    )
    ledger.mark_sent(session, row.subscription, [row.event_id], message=message.id)
    breaker.probe = delivery_id(row.event_id, row.subscription)
    breaker.probe_at = clock.now()
    session.flush()
    return [message]
