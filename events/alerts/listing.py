"""The alerts and their rules for operators, and the message with which one tests the receivers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import clock, log
from events.admin import audit
from events.alert_tables import Alert, State
from events.alerts.evaluation import INTERVAL, is_on, latest_look
from events.alerts.rules import Rule, span
from events.settings import Settings
from events.system_events import AlertRaised

_ORDER = (State.FIRING, State.PENDING, State.OVER)
_OVERDUE = timedelta(seconds=4 * INTERVAL)


@dataclass(frozen=True)
class AlertLine:
    """An alert; `messages` counts those since it began, `raised_at` is the first of them."""

    rule: str
    subject: str
    cause: str
    state: str
    title: str
    text: str
    since: datetime
    raised_at: datetime | None
    notified_at: datetime | None
    messages: int
    ended_at: datetime | None


@dataclass(frozen=True)
class RuleLine:
    """A rule, its limit in words, and the setting that changes it."""

    name: str
    on: bool
    limit: str
    setting: str


def listed(session: Session) -> Sequence[AlertLine]:
    """Return the alerts, those first whose rule holds, the latest of each state first."""
    rows = session.scalars(select(Alert).order_by(Alert.since.desc(), Alert.rule, Alert.subject))
    lines = [
        AlertLine(**{name: getattr(row, name) for name in AlertLine.__dataclass_fields__})
        for row in rows
    ]
    return sorted(lines, key=lambda each: _ORDER.index(State(each.state)))


def rules(limits: Settings) -> list[RuleLine]:
    """Return the rules with their limits."""
    texts = {
        Rule.NEW_CAUSE: "deliveries die of a cause of which none was dead",
        Rule.DEAD: f"more than {limits.alert_dead} dead letters",
        Rule.OLDEST: f"a delivery waits for more than {span(limits.alert_oldest or 0)}",
        Rule.NO_WORKER: f"a queue has no worker for {span(limits.alert_no_worker or 0)}",
        Rule.RELAY_BEHIND: f"an event waits for more than {span(limits.alert_relay_behind or 0)}",
        Rule.BREAKER_OPEN: f"a breaker is open for {span(limits.alert_breaker_open or 0)}",
    }
    lines = []
    for rule, text in texts.items():
        on = is_on(rule, limits)
        setting = f"ALERT_{rule.replace(' ', '_').upper()}"
        lines.append(RuleLine(str(rule), on, text if on else "off", setting))
    return lines


def looked_at(session: Session) -> tuple[datetime | None, bool]:
    """Return the time of the latest look at the rules, and whether the next one is overdue."""
    at = latest_look(session)
    return at, at is None or clock.now() - at > _OVERDUE


def send_test(session: Session, *, who: str, why: str) -> UUID:
    """Publish an alert that only tests the receivers; return the id of its event.

    Raises `ReasonMissing`.
    """
    test = AlertRaised(
        rule=Rule.TEST,
        subject="test",
        cause="",
        title="A test of the alerts",
        text="Nothing is wrong: somebody asked whether alerts arrive.",
        since=clock.now(),
    )
    [event_id] = log.publish(session, test, subject="alerts")
    audit.record(session, who=who, action="test alerts", target=str(event_id), why=why)
    return event_id
