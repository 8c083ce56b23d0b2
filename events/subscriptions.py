"""Subscriptions: a handler, its event types, its queue and its retry policy."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from sqlalchemy.orm import Session

from events.errors import SubscriptionError, UnknownSubscription
from events.event import Event, stored_as
from events.retry import Retry

BATCH = 100  # deliveries in one transaction at most
CALL_BATCH = 20  # the same, of a handler that calls the outside first

Outcome = Event | Sequence[Event] | None
E = TypeVar("E", bound=Event)
A = TypeVar("A")
Handler = Callable[[E, Session], Outcome]
Recorder = Callable[[E, Session, A], Outcome]

_registry: dict[str, "Subscription"] = {}


@dataclass(frozen=True)
class Subscription:
    """A handler registered for event types on a queue. Its name is `queue.handler`.

    A batch is a group of up to `batch` waiting deliveries that share one transaction. The name of
    the outside service that it calls, if any, is `depends_on`.
    """

    name: str
    queue: str
    types: tuple[type[Event], ...]
    handler: Callable[..., Outcome]
    call: Callable[..., Any] | None
    retry: Retry
    batch: int
    takes_batch: bool = False  # its handler gets the events of a batch as one list
    depends_on: str | None = None
    calls_batch: bool = False  # its call gets the events of a batch as one list, with their keys

    @property
    def event_types(self) -> list[str]:
        """The wire types of its events."""
        return [each.type for each in self.types]

    def knows(self, event_type: str, version: int) -> bool:
        """Tell whether this process can give its handler an event of this type and version."""
        return event_type in self.event_types and stored_as(event_type, version) is not None


@overload
def subscribe(
    *types: type[E],
    queue: str,
    retry: Retry = ...,
    batch: int = ...,
    depends_on: str | None = ...,
) -> Callable[[Callable[[E, Session], Any]], Callable[[E, Session], Any]]: ...
@overload
def subscribe(
    *types: type[E],
    queue: str,
    retry: Retry = ...,
    batch: int = ...,
    call: Callable[[E, str], A],
    depends_on: str | None = ...,
) -> Callable[[Callable[[E, Session, A], Any]], Callable[[E, Session, A], Any]]: ...
@overload
def subscribe(
    *types: type[E],
    queue: str,
    retry: Retry = ...,
    batch: int = ...,
    call_batch: Callable[[list[E], list[str]], Iterable[A | Exception]],
    depends_on: str | None = ...,
) -> Callable[[Callable[[E, Session, A], Any]], Callable[[E, Session, A], Any]]: ...
def subscribe(
    *types: type[Any],
    queue: str,
    retry: Retry = Retry(),
    batch: int | None = None,
    call: Callable[..., Any] | None = None,
    call_batch: Callable[..., Any] | None = None,
    depends_on: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a handler for events of `types` on `queue`.

    The handler gets `(event, session)` and its writes commit together with the delivery's mark as
    done. Up to `batch` events that wait share a transaction; a handler must not mind, and one
    that does says `batch=1`. With `call`, an outside service is called first, outside any
    transaction, as `call(event, key)`, where `key` is the same on every retry and replay; the
    handler then gets `(event, session, answer)` and records the answer. The calls of a batch run
    side by side in threads. A `call_batch` gets lists of events and keys and yields the answer of
    each, or its exception, so that one look-up serves all of them; what it raises leaves the others
    to calls of their own. `depends_on` names the outside service whose circuit breaker holds the
    deliveries back while it is open; several subscriptions may name the same.

    Raises `SubscriptionError` when the declaration cannot work.
    """

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        size = batch if batch is not None else (CALL_BATCH if calls else BATCH)
        name, in_batch = f"{queue}.{handler.__name__}", call_batch is not None
        if call and in_batch:
            raise SubscriptionError(f"{name} has both call= and call_batch=; leave one of them out")
        new = Subscription(
            name, queue, types, handler, calls, retry, size, False, depends_on, in_batch
        )
        _add(new)
        return handler

    calls = call or call_batch

    return register


def subscribe_batch(
    *types: type[E], queue: str, retry: Retry = Retry(), batch: int = BATCH
) -> Callable[[Callable[[list[E], Session], Any]], Callable[[list[E], Session], Any]]:
    """Register a handler for lists of events, so that one statement can serve all of them.

    The handler gets `(events, session)` with the 1 to `batch` events of one transaction, each
    exactly once. It returns a list with the outcome of each event in their order, so that what
    follows has its cause, or `None` for all. If it raises, nothing has happened, and it is called
    for each event alone. Raises `SubscriptionError` when the declaration cannot work.
    """

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        name = f"{queue}.{handler.__name__}"
        _add(Subscription(name, queue, types, handler, None, retry, batch, takes_batch=True))
        return handler

    return register


def _add(subscription: Subscription) -> None:
    _check(subscription)
    _registry[subscription.name] = subscription


def _check(subscription: Subscription) -> None:
    name, call, handler = subscription.name, subscription.call, subscription.handler
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,50}\.[a-z][a-z0-9_]{0,60}", name):
        raise SubscriptionError(
            f"{name}: name a queue and a handler in small letters, digits and _"
        )
    _check_dependency(subscription)
    _check_types(subscription)
    if len(set(subscription.event_types)) < len(subscription.types):
        raise SubscriptionError(
            f"{name} names one event type twice; name its newest version only, "
            "which is the one that handlers get"
        )
    if subscription.batch < 1:
        raise SubscriptionError(f"{name}: batch={subscription.batch}; it must be 1 or more")
    takes = len(inspect.signature(handler).parameters)
    if takes != (3 if call else 2):
        first = "events" if subscription.takes_batch else "event"
        raise SubscriptionError(
            f"{name} takes {takes} arguments; write ({first}, session{', answer' if call else ''})"
        )
    if call and len(inspect.signature(call).parameters) != 2:
        needs = "(events, keys)" if subscription.calls_batch else "(event, key)"
        raise SubscriptionError(f"{name}: its call {call.__name__} must take {needs}")
    _check_unique(subscription)


def _check_dependency(subscription: Subscription) -> None:
    depends_on = subscription.depends_on
    if depends_on is not None and not re.fullmatch(r"[a-z][a-z0-9_]{0,49}", depends_on):
        raise SubscriptionError(
            f"{subscription.name}: depends_on={depends_on!r}; "
            "name the dependency in small letters, digits and _"
        )


def _check_types(subscription: Subscription) -> None:
    if not subscription.types:
        raise SubscriptionError(
            f"{subscription.name} has no event type; "
            f"write @subscribe(OrderCreated, queue={subscription.queue!r})"
        )
    for event_class in subscription.types:
        if not event_class.type:
            raise SubscriptionError(
                f"{subscription.name}: {event_class.__name__} has no wire type; "
                "subscribe to its subclasses"
            )


def _check_unique(subscription: Subscription) -> None:
    name, handler = subscription.name, subscription.handler
    known = _registry.get(name)
    if known and (known.handler.__module__, known.handler.__qualname__) != (
        handler.__module__,
        handler.__qualname__,
    ):
        raise SubscriptionError(
            f"{name} is both in {known.handler.__module__} and in {handler.__module__}; "
            "rename one of the handlers"
        )


def registered() -> dict[str, Subscription]:
    """Return every subscription of this process, by name."""
    return dict(_registry)


def subscription(name: str) -> Subscription:
    """Return the subscription called `name`. Raises `UnknownSubscription`."""
    if name not in _registry:
        raise UnknownSubscription(name, _registry)
    return _registry[name]


def discover(package: str, *, skip: Collection[str] = ()) -> Iterable[str]:
    """Import the modules of `package` but those in `skip`; return their names.

    A new subscriber needs no more than its file.
    """
    found = importlib.import_module(package)
    names = [
        f"{package}.{module.name}"
        for module in pkgutil.iter_modules(found.__path__)
        if not module.ispkg and module.name not in skip
    ]
    for name in names:
        importlib.import_module(name)
    return names
