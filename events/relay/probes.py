"""Probes: one delivery at a time asks whether an unavailable dependency is back."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from events import breakers, clock, ledger
from events.breakers import Breaker
from events.ledger import IS_TO_SEND
from events.messages import Message
from events.relay.fanout import label, new_message
from events.relay.window import Traffic
from events.suspects import ISOLATE_AFTER_LOSSES, hold_back_suspects
from events.tables import DELIVERIES, LogEntry, delivery_id

_D = DELIVERIES.c
_WAITING = (_D.subscription.in_(bindparam("names", expanding=True)), IS_TO_SEND)
_HAS_FAILED = _D.dependency.is_not(None)  # so it is known to reach the dependency
_ARE_ASKING = _D.subscription.in_(select(_D.subscription).where(*_WAITING, _HAS_FAILED))


def _candidate(*order: Any) -> Select[Any]:
    """Return the look for a probe: suspects last, and whoever failed is due later than others."""
    found = select(_D.event_id, _D.subscription, _D.queue, _D.sends, _D.attempts)
    found = found.add_columns(_D.unfinished_starts).where(*_WAITING)
    by = (_D.lost_count >= ISOLATE_AFTER_LOSSES, *order, _D.due_at)
    return found.order_by(*by).limit(1).with_for_update(skip_locked=True)


# In turn: one that is known to reach the dependency, and one that has not failed, of a subscription
# that has such, because each of the former may fail by itself.
_CANDIDATES = (_candidate(_HAS_FAILED.desc()), _candidate(_ARE_ASKING.desc(), _HAS_FAILED))


def send_probes(session: Session, subscriptions: Iterable[Traffic]) -> list[Message]:
    """Mark one delivery of each open breaker as sent whose probe is due; return their messages."""
    waiting = [each for each in subscriptions if _is_due(each)]
    waiting.sort(key=lambda each: each.dependency or "")
    messages = []
    for dependency, group in groupby(waiting, key=lambda each: each.dependency or ""):
        messages += _send_probe(session, dependency, list(group))
    return messages


def move_probes(session: Session, step: timedelta) -> None:
    """Move the probes that lie ahead, because the clock has gone back by `step`."""
    now = clock.now()
    ahead = select(Breaker).where(Breaker.next_probe_at > now).order_by(Breaker.dependency)
    for row in session.scalars(ahead.with_for_update()):
        if row.next_probe_at is not None:
            row.next_probe_at = max(now, row.next_probe_at - step)


def _is_due(subscription: Traffic) -> bool:
    return subscription.probe_at is not None and subscription.probe_at <= clock.now()


def _send_probe(
    session: Session, dependency: str, subscriptions: Sequence[Traffic]
) -> list[Message]:
    breaker = breakers.start_probe(session, dependency)
    if breaker is None:
        return []
    by_name = {each.name: each for each in subscriptions}
    candidate = _CANDIDATES[breaker.failed_probes % len(_CANDIDATES)]
    row: Any = session.execute(candidate, {"names": list(by_name)}).first()
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
