"""The event catalog for people: each version of each event with its subscribers and their retries.

It is made for the command, which reads the code, and for page and API, which read the database.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from events import subscriptions
from events.admin.subscriptions import listed, policy_of
from events.event import Event, catalog
from events.retry import Retry


@dataclass(frozen=True)
class Subscriber:
    """A subscription, as far as the catalog tells it."""

    name: str
    queue: str
    event_types: list[str]
    policy: Retry


@dataclass(frozen=True)
class CatalogEntry:
    """One version of an event. Only the newest has subscribers, because handlers get that one."""

    event_class: type[Event]
    subscribers: list[Subscriber]

    @property
    def description(self) -> str:
        """The first line of the docstring."""
        return (self.event_class.__doc__ or "").strip().partition("\n")[0]


def entries(subscribers: Iterable[Subscriber]) -> list[CatalogEntry]:
    """Return an entry for each version of each event, with those of the subscribers that get it."""
    known = sorted(subscribers, key=lambda each: each.name)
    newest = {event_class.type: event_class for event_class in catalog()}
    return [
        CatalogEntry(
            event_class,
            [each for each in known if event_class.type in each.event_types]
            if newest[event_class.type] is event_class
            else [],
        )
        for event_class in catalog()
    ]


def of_code() -> list[Subscriber]:
    """Return the subscriptions that this process has imported."""
    return [
        Subscriber(each.name, each.queue, each.event_types, each.retry)
        for each in subscriptions.registered().values()
    ]


def of_database(session: Session) -> list[Subscriber]:
    """Return the subscriptions that are registered, with the policies of their workers."""
    return [
        Subscriber(row.name, row.queue, row.event_types, policy_of(row.policy))
        for row in listed(session)
    ]
