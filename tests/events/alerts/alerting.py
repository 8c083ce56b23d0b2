"""Looks at the rules of the alerts in tests, and what they publish."""

from sqlalchemy import select

from events import reading
from events.alert_tables import Alert
from events.alerts.evaluation import INTERVAL, evaluate
from events.settings import settings
from events.system_events import AlertRaised, AlertResolved
from events.testing import Bus


class Looks:
    """A bus on whose clock the rules are looked at."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._seen = 0

    def after(self, seconds: float = INTERVAL) -> list[str]:
        """Move the clock, look, and return what is published by it."""
        self.bus.clock.advance(seconds)
        evaluate()
        found = [
            each for each in self.bus.published if isinstance(each, AlertRaised | AlertResolved)
        ]
        new, self._seen = found[self._seen :], len(found)
        return [_told(each) for each in new]


def _told(event: AlertRaised | AlertResolved) -> str:
    if isinstance(event, AlertResolved):
        return f"over: {event.rule} {event.subject}"
    return f"{'again' if event.again else 'raised'}: {event.rule} {event.subject}"


def states() -> dict[tuple[str, str], str]:
    """Return the state of each alert by rule and subject."""
    with reading() as session:
        return {(row.rule, row.subject): row.state for row in session.scalars(select(Alert))}


def only(monkeypatch, **limits: str) -> None:
    """Switch all rules off but those that are given."""
    rules = ("new_cause", "dead", "oldest", "no_worker", "relay_behind", "breaker_open")
    for rule in rules:
        monkeypatch.setenv(f"ALERT_{rule.upper()}", limits.get(rule, "off"))
    settings.cache_clear()
