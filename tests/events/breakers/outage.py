"""An outside service that can be down, and subscriptions that depend on it."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from events import NotNow, Retry, Unavailable, breakers, transaction
from events.breakers import FAILURES, Breaker, State
from events.subscriptions import Subscription
from events.testing import Bus
from tests.events.sample import Mark, Noted, note

POLICY = Retry(attempts=3, first=1.0, cap=1.0)


class Service:
    """An outside service that answers, or raises `error`.

    `broken` notes fail by themselves, and `reset` ones do as in an outage.
    """

    def __init__(self) -> None:
        self.error: Callable[[], Exception] | None = None
        self.calls: list[str] = []

    def __call__(self, event: Noted, key: str) -> str:
        self.calls.append(event.text)
        if event.text.startswith("broken"):
            raise ValueError("500 for this note")
        if event.text.startswith("reset"):
            raise ConnectionResetError("reset at this note")
        if self.error is not None:
            raise self.error()
        return event.text


class GatewayDown(NotNow, Unavailable):
    pass


def record(event: Noted, session: Session, answer: str) -> None:
    session.add(Mark(what=answer))


SERVICE = Service()


def renew_service() -> None:
    """Let the service answer, and forget all calls that it has answered."""
    SERVICE.error, SERVICE.calls = None, []
    breakers._answered.clear()
    breakers._answered_at.clear()


def dependent(name: str = "notes.ask", **options: Any) -> Subscription:
    values: dict[str, Any] = {"retry": POLICY, "batch": 20, "depends_on": "service"} | options
    return Subscription(name, name.partition(".")[0], (Noted,), record, SERVICE, **values)


def breaker() -> Breaker:
    with transaction() as session:
        return breakers.lock(session, "service")


def outage(bus: Bus, count: int = FAILURES) -> None:
    """Let the service be down, with so many deliveries that fail."""
    SERVICE.error = lambda: GatewayDown("down")
    note(*(f"n-{number}" for number in range(count)))
    bus.drain()
    assert breaker().state == State.OPEN
