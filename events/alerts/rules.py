"""The rules of the alerts, each a query of the ledger: what holds now, and for which subject."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events import breakers
from events.admin import dead_letters, queues
from events.breakers import Breaker
from events.ledger import IS_DEAD, IS_IN_FLIGHT, IS_TO_SEND
from events.settings import Settings
from events.system_events import AlertRaised, AlertResolved
from events.tables import Delivery, SubscriptionRow

MAX_COUNT = 10_000  # dead letters that are counted


class Rule(StrEnum):
    """The rules, and `TEST`, which an operator raises."""

    NEW_CAUSE = "new cause"
    DEAD = "dead"
    OLDEST = "oldest"
    NO_WORKER = "no worker"
    RELAY_BEHIND = "relay behind"
    BREAKER_OPEN = "breaker open"
    TEST = "test"


@dataclass(frozen=True)
class Finding:
    """A rule that holds for a subject.

    It is raised when it has held for `wait` seconds. `grown_at` is when it last became worse; an
    alert about dead letters is repeated only if that was after the latest message.
    """

    rule: Rule
    subject: str
    title: str
    text: str
    since: datetime
    cause: str = ""
    wait: float = 0.0
    grown_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of the alert."""
        return self.rule, self.subject, self.cause


def findings(session: Session, limits: Settings, now: datetime) -> list[Finding]:
    """Return what holds now, of the rules that are not switched off."""
    found: list[Finding] = []
    if limits.alert_new_cause == "on":
        found += _causes(session, now)
    rules: tuple[tuple[Callable[..., Iterator[Finding]], float | None], ...] = (
        (_dead, limits.alert_dead),
        (_oldest, limits.alert_oldest),
        (_without_worker, limits.alert_no_worker),
        (_relay_behind, limits.alert_relay_behind),
        (_open_breakers, limits.alert_breaker_open),
    )
    for rule, limit in rules:
        if limit is not None:
            found += rule(session, limit, now)
    return found


def span(seconds: float) -> str:
    """Return a duration in one unit, of which there are at least two: `90 s`, `5 min`, `3 h`."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _causes(session: Session, now: datetime) -> Iterator[Finding]:
    own = _of_alerts(session)
    for group in dead_letters.groups(session):
        count = f"{group.count:,} dead letter{'' if group.count == 1 else 's'}"
        yield Finding(
            Rule.NEW_CAUSE,
            group.subscription,
            f"Deliveries of {group.subscription} die",
            f"{count} of this cause: {group.fingerprint}",
            min(group.first, now),
            cause=group.fingerprint,
            # A message that cannot be sent must not be the cause of the next one.
            grown_at=None if group.subscription in own else group.last,
        )


def _dead(session: Session, limit: int, now: datetime) -> Iterator[Finding]:
    count = dead_letters.count(session, at_most=max(MAX_COUNT, limit + 1))
    if count <= limit:
        return
    others = Delivery.subscription.not_in(_of_alerts(session))
    grown_at = session.scalar(select(func.max(Delivery.died_at)).where(IS_DEAD, others))
    number = f"{count:,}" if count < MAX_COUNT else f"{MAX_COUNT:,} or more"
    title = f"More than {limit:,} dead letter{'' if limit == 1 else 's'}"
    yield Finding(
        Rule.DEAD, "all", title, f"There are {number} dead letters.", now, grown_at=grown_at
    )


def _oldest(session: Session, limit: float, now: datetime) -> Iterator[Finding]:
    """Find the queues with a delivery that has been due, or failing, for too long.

    Not the age of the event counts: a replay or a backfill is not late. The deliveries of a paused
    subscription wait because somebody wants it.
    """
    paused = select(SubscriptionRow.name).where(SubscriptionRow.paused_at.is_not(None))
    since = func.min(func.coalesce(Delivery.failing_since, Delivery.due_at))
    first: dict[str, datetime] = {}
    for part in (IS_TO_SEND, IS_IN_FLIGHT):
        waiting = select(Delivery.queue, since).where(part, Delivery.subscription.not_in(paused))
        for queue, at in session.execute(waiting.group_by(Delivery.queue)):
            first[queue] = min(at, first.get(queue, at))
    for queue, at in sorted(first.items()):
        if (waited := (now - at).total_seconds()) > limit:
            text = f"A delivery has been waiting for {span(waited)}, longer than {span(limit)}."
            yield Finding(Rule.OLDEST, queue, f"Queue {queue} is late", text, at)


def _without_worker(session: Session, limit: float, now: datetime) -> Iterator[Finding]:
    for queue in queues.without_worker(session):
        text = "Its deliveries wait until a worker of it starts."
        yield Finding(Rule.NO_WORKER, queue, f"Queue {queue} has no worker", text, now, wait=limit)


def _relay_behind(session: Session, limit: float, now: datetime) -> Iterator[Finding]:
    oldest = queues.oldest_unrelayed(session)
    if oldest is not None and (waited := (now - oldest).total_seconds()) > limit:
        text = f"An event has been waiting for {span(waited)}, longer than {span(limit)}."
        yield Finding(Rule.RELAY_BEHIND, "relay", "The relay is behind", text, oldest)


def _open_breakers(session: Session, limit: float, now: datetime) -> Iterator[Finding]:
    """Find the breakers that opened by themselves: who holds one by hand knows it."""
    opened = select(Breaker).where(Breaker.state == breakers.State.OPEN)
    for row in session.scalars(opened.order_by(Breaker.dependency)):
        since = min(row.opened_at or row.since, now)
        if now - since >= timedelta(seconds=limit):
            name = row.dependency
            text = "Its deliveries wait, and probes ask whether it is available again."
            yield Finding(Rule.BREAKER_OPEN, name, f"The breaker of {name} is open", text, since)


def _of_alerts(session: Session) -> Collection[str]:
    """Return the subscriptions that send the alerts."""
    types = {AlertRaised.type, AlertResolved.type}
    rows = session.execute(select(SubscriptionRow.name, SubscriptionRow.event_types))
    return {name for name, handled in rows if types & set(handled)}
