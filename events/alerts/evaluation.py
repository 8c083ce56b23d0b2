"""The evaluation of the alerts: which are raised, repeated and over, each as one event.

    none, over ──its rule holds──> PENDING ──for long enough──> FIRING ──it holds no more──> OVER

One message per alert and hour, and one when it is over if there was a message before. A message is
an event, published in the transaction that changes the alert's row: a process that dies publishes
it or leaves the alert as it was. The row of the latest look is written in the same transaction, so
that of two relays that look at the same time only one decides.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from events import clock, log
from events.alert_tables import Alert, AlertLook, State
from events.alerts.rules import Finding, Rule, findings
from events.database import reading, relaxed
from events.orm import get_or_create_locked
from events.settings import Settings, settings
from events.system_events import AlertRaised, AlertResolved

logger = structlog.get_logger("tidings.alerts")

INTERVAL = 15.0  # seconds between two looks
MESSAGE_INTERVAL = timedelta(hours=1)
OVER_RETENTION = timedelta(days=30)  # alerts that are over
LOOK = "rules"
_JUST_NOW = timedelta(seconds=INTERVAL - 1)
_ON_GROWTH = (Rule.NEW_CAUSE, Rule.DEAD)  # repeated only if more has died


def evaluate() -> int | None:
    """Look at the rules, and return the number of messages; `None` if another process has looked.

    What is found is read before the write lock is taken. If somebody looked meanwhile, it is
    outdated and dropped.
    """
    now, limits = clock.now(), settings()
    with reading() as session:
        seen = latest_look(session)
        if seen is not None and clock.is_within(_JUST_NOW, seen, now):
            return None
        found = findings(session, limits, now)
    # If a power cut takes the commit, the next look finds the same again.
    with relaxed() as session:
        look = get_or_create_locked(session, AlertLook, LOOK, at=seen or now)
        if look.at != (seen or now):
            return None
        look.at = now = clock.now()
        return _apply(session, found, limits, now)


def latest_look(session: Session) -> datetime | None:
    """Return the time of the latest look at the rules."""
    return session.scalar(select(AlertLook.at).where(AlertLook.name == LOOK))


def is_on(rule: str, limits: Settings) -> bool:
    """Tell whether a rule is switched on."""
    value = getattr(limits, f"alert_{rule.replace(' ', '_')}", None)
    return value not in (None, "off")


def _apply(session: Session, found: Sequence[Finding], limits: Settings, now: datetime) -> int:
    rows = {row.key: row for row in session.scalars(select(Alert))}
    messages = 0
    for finding in found:
        row = rows.pop(finding.key, None)
        if row is None or row.state == State.OVER:
            row = _begin(session, row, finding, now)
        row.title, row.text = finding.title, finding.text  # of now, not of the last message
        messages += _judge(session, row, finding, now)
    for row in rows.values():
        if row.state != State.OVER:
            messages += _end(session, row, now, tells=is_on(row.rule, limits))
    return messages


def _begin(session: Session, row: Alert | None, finding: Finding, now: datetime) -> Alert:
    if row is None:
        rule, subject, cause = finding.key
        old = (Alert.state == State.OVER, Alert.ended_at < now - OVER_RETENTION)
        session.execute(delete(Alert).where(*old))
        row = Alert(rule=rule, subject=subject, cause=cause)
        session.add(row)
    row.state, row.since, row.messages = State.PENDING, finding.since, 0
    row.raised_at = row.ended_at = None
    return row


def _judge(session: Session, row: Alert, finding: Finding, now: datetime) -> int:
    """Raise or repeat the alert if it is time; return the number of messages."""
    if row.state == State.PENDING and clock.is_within(
        timedelta(seconds=finding.wait), row.since, now
    ):
        return 0
    row.state = State.FIRING
    if row.notified_at is not None and clock.is_within(MESSAGE_INTERVAL, row.notified_at, now):
        return 0
    again = row.raised_at is not None
    if again and not _is_worse(row, finding):
        return 0
    row.raised_at, row.notified_at = row.raised_at or now, now
    row.messages += 1
    rule, subject, cause = finding.key
    log.publish(
        session,
        AlertRaised(
            rule=rule,
            subject=subject,
            cause=cause,
            title=finding.title,
            text=finding.text,
            since=row.since,
            again=again,
        ),
    )
    logger.warning(
        "alert.raised", rule=str(rule), subject=subject, title=finding.title, again=again
    )
    return 1


def _is_worse(row: Alert, finding: Finding) -> bool:
    if finding.rule not in _ON_GROWTH:
        return True
    return finding.grown_at is not None and finding.grown_at > (row.notified_at or row.since)


def _end(session: Session, row: Alert, now: datetime, *, tells: bool) -> int:
    """End an alert; one that was never raised, not even earlier, leaves no row."""
    if row.notified_at is None:
        session.delete(row)
        return 0
    was_raised = row.raised_at is not None
    row.state, row.ended_at = State.OVER, now
    if not was_raised or not tells:
        return 0
    over = AlertResolved(
        rule=row.rule, subject=row.subject, cause=row.cause, title=row.title, since=row.since
    )
    log.publish(session, over)
    logger.info("alert.resolved", rule=row.rule, subject=row.subject, title=row.title)
    return 1
