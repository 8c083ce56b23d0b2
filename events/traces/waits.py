"""The reasons for which open deliveries wait, and those that need a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import breakers, clock, heartbeat
from events.breakers import Breaker
from events.ledger import State
from events.tables import Delivery, QueueTrouble, SubscriptionRow

NO_STEP = "nothing: no step of it is open"


class Reason(NamedTuple):
    """The reason of a wait.

    `stops` is true if nothing goes on at present, `person` if only a person can change that.
    """

    text: str
    stops: bool = True
    person: bool = True


@dataclass(frozen=True)
class Wait:
    """The wait of one delivery, or of an event that has none yet; `what` is its name."""

    what: str
    waits_for: str
    since: datetime
    stops: bool
    person: bool
    event_id: UUID | None
    delivery_id: str | None


@dataclass(frozen=True)
class Circumstances:
    """The things that deliveries can wait for, read once for all of them."""

    subscriptions: Mapping[str, SubscriptionRow]
    breakers: Mapping[str, Breaker]
    consumed: frozenset[str]  # queues with a live worker
    troubles: Mapping[str, QueueTrouble]
    relays: tuple[str | None, ...]  # of each live relay its trouble

    def of_delivery(self, row: Delivery, since: datetime) -> Wait:
        """Return what a delivery waits for that is open, dead or discarded."""
        reason = self._reason(row)
        waits_for, stops, person = reason
        return Wait(row.subscription, waits_for, since, stops, person, row.event_id, row.id)

    def of_event(self, event_id: UUID, event_type: str, since: datetime) -> Wait:
        """Return what an event waits for that the relay has not taken."""
        reason = self._relay() or Reason("the relay, which has not taken it yet", False, False)
        return Wait(event_type, reason.text, since, reason.stops, reason.person, event_id, None)

    def _reason(self, row: Delivery) -> Reason:
        if row.state == State.DEAD:
            return Reason(f"a person: it is a dead letter, {_line(row.error)}")
        if row.state == State.DISCARDED:
            return Reason("nothing: it was discarded, so the next step never comes")
        return self._hold(row) or _turn(row)

    def _hold(self, row: Delivery) -> Reason | None:
        subscription = self.subscriptions.get(row.subscription)
        if subscription is None:
            return Reason("its subscription, which is not registered")
        if subscription.paused_at:
            why = f"{subscription.paused_by}: {subscription.paused_why}"
            return Reason(f"its subscription, which is paused by {why}")
        breaker = self.breakers.get(subscription.depends_on or "")
        if breaker is not None and breaker.state != breakers.State.CLOSED:
            person = breaker.state == breakers.State.ON_HOLD
            return Reason(f"{breaker.dependency}, whose breaker is {breaker.state}", person=person)
        if trouble := self.troubles.get(row.queue):
            return Reason(f"queue {row.queue}, which {trouble['reason']}")
        if row.queue not in self.consumed:
            return Reason(f"a worker: queue {row.queue} has none")
        return self._relay()

    def _relay(self) -> Reason | None:
        if not self.relays:
            return Reason("a relay: none is alive")
        if all(self.relays):
            return Reason(f"the broker: {_line(self.relays[0])}")
        return None


def _turn(row: Delivery) -> Reason:
    if row.sent_at is not None:
        return Reason(f"a worker of queue {row.queue}, to which it was sent", False, False)
    if row.attempts and row.due_at > clock.now():
        at = f"{row.due_at:%H:%M:%S} UTC"
        text = f"attempt {row.attempts + 1} at {at}, after {_line(row.error)}"
        return Reason(text, False, False)
    return Reason(f"its turn in queue {row.queue}", False, False)


def circumstances(session: Session) -> Circumstances:
    """Read what deliveries can wait for."""
    alive = heartbeat.alive(session)
    consumed = (queue for row in alive if row.kind == "worker" for queue in row.queues)
    return Circumstances(
        subscriptions={row.name: row for row in session.scalars(select(SubscriptionRow))},
        breakers={row.dependency: row for row in session.scalars(select(Breaker))},
        consumed=frozenset(consumed),
        troubles=heartbeat.queue_troubles(session),
        relays=tuple(row.trouble for row in alive if row.kind == "relay"),
    )


def no_step(what: str, since: datetime) -> Wait:
    """Return the wait of what has no open step: it goes on by a person only."""
    return Wait(what, NO_STEP, since, True, True, None, None)


def _line(error: str | None) -> str:
    return (error or "an error without a text").partition("\n")[0][:200]
