"""The errors of the bus, as a tree.

TidingsError
├── CatalogError            two classes for one type and version, or a gap between versions
├── SubscriptionError       a handler whose declaration cannot work (at import)
├── UnknownSubscription     no subscription has that name
├── UnknownEvent            a type or version that this process does not know
│   └── UnknownFields       fields of a known version that this process does not know
├── ReasonMissing           an operator's act without a reason, which the audit needs
├── UnknownDelivery         no dead letter has that id
├── UnknownGroup            no dead letter has that cause
├── InvalidPayload          a corrected payload breaks the schema of its event
├── UnknownReplay           no replay has that number
├── NothingToReplay         no dead letter, or no past event, matches the selection
├── AlreadyReplaying        another replay has some of the same dead letters
├── ReplayIsOver            the replay is stopped or done
├── UnknownDependency       no subscription depends on anything of that name
├── UnsupportedDatabase     `DATABASE_URL` names a database other than SQLite and PostgreSQL
├── BadValue                a value that cannot work, with its fix; mostly of a setting
├── InvalidSettings         settings that cannot work; in `events.environment`
├── TransactionNotStarted   stopped while it waited for its turn; it may be run again
├── TransactionEnded        a handler ended its worker's transaction; in `events.handlers`
├── CallNotMade             the calls before it in the batch took too long; it may be made later
├── PublishError            an event cannot be published so: no text as its subject, no JSON
├── ScheduleError           an event cannot be scheduled so: a key that is taken, no cron line
├── BrokerDown              the broker did not take a message; the relay sends it again
│   └── BrokerRefuses       the broker can be reached, and refuses what it is asked
│       └── BrokerBlocked   it accepts no messages from anybody
├── QueueUnavailable        the broker refuses one queue; the others can be used
├── DeadLetter              raised by a handler: no retry can save this delivery
├── NotNow                  raised by a handler: the outside cannot take it now
│   └── RetryAfter          raised by a handler: retry in so many seconds
└── Unavailable             raised by a handler: its dependency takes nothing from anybody now
"""

from collections.abc import Iterable
from math import isnan


class TidingsError(Exception):
    """Base of all errors of the bus."""


class CatalogError(TidingsError):
    """The catalog of events contradicts itself."""


class SubscriptionError(TidingsError):
    """A handler was declared in a way that cannot work."""


class UnknownSubscription(TidingsError):
    """No subscription has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        names = ", ".join(sorted(known)) or "none yet"
        super().__init__(f"no subscription is called {name!r}; there are: {names}")


class UnknownEvent(TidingsError):
    """An event of a type or version that this process does not know."""

    def __init__(self, event_type: str, version: int, newest: int | None) -> None:
        knows = f"knows up to v{newest}" if newest else "knows no such type"
        super().__init__(
            f"{event_type} v{version} is unknown: this process {knows}; "
            "deploy one that does, and the delivery goes on"
        )


class UnknownFields(UnknownEvent):
    """An event with fields that newer code added to a version that this process knows."""

    def __init__(self, event_type: str, version: int, fields: Iterable[str]) -> None:
        names = ", ".join(fields)[:200]
        TidingsError.__init__(
            self,
            f"{event_type} v{version} has fields that this process does not know: {names}; "
            "deploy a version that does, and the delivery goes on",
        )


class UnknownDelivery(TidingsError):
    """No dead letter has this id."""

    def __init__(self, delivery_id: str) -> None:
        super().__init__(
            f"no dead letter has the id {delivery_id!r}; `tidings dead-letters list` shows them"
        )


class UnknownTaskMessage(TidingsError):
    """No delivery was sent in a task with this id."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"no delivery was sent in a task with the id {task_id!r}; give the whole id, as Flower"
            " and the log of a worker show it"
        )


class ReasonMissing(TidingsError):
    """An operator's act has no reason."""

    def __init__(self, action: str) -> None:
        super().__init__(f"{action} needs a reason; it is written to the audit log")


class UnknownGroup(TidingsError):
    """No dead letter of a subscription has this fingerprint."""

    def __init__(self, subscription: str, fingerprint: str) -> None:
        super().__init__(
            f"no dead letter of {subscription!r} has the fingerprint {fingerprint!r}; "
            "`tidings dead-letters list --group` shows all groups"
        )


class InvalidPayload(TidingsError):
    """A corrected payload breaks the schema of its event; `errors` are fields and messages."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors[:20]))


class UnknownReplay(TidingsError):
    """No replay has this number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no replay {number}; `tidings replays` lists them")


class NothingToReplay(TidingsError):
    """No dead letter, or no past event, matches the selection."""


class AlreadyReplaying(TidingsError):
    """Another replay, which is running or paused, has some of the same deliveries."""

    def __init__(self, number: int, who: str, state: str) -> None:
        self.number = number
        super().__init__(
            f"replay {number} of {who}, which is {state}, has them or some of them; "
            f"wait until it is over, or stop it: `tidings replays stop {number}`"
        )


class ReplayIsOver(TidingsError):
    """The replay is stopped or done, and cannot be changed."""

    def __init__(self, number: int, state: str) -> None:
        super().__init__(f"replay {number} is {state}; start another one for what is left")


class UnknownDependency(TidingsError):
    """No subscription depends on anything of this name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        names = ", ".join(sorted(known)) or "none yet"
        super().__init__(f"no subscription depends on {name!r}; there are breakers of: {names}")


class UnsupportedDatabase(TidingsError):
    """The address names a database that Tidings does not run on."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        super().__init__(
            f"DATABASE_URL names {backend!r}; "
            "write sqlite:///path/to/file or postgresql://user:password@host/name"
        )


class BadValue(TidingsError, ValueError):
    """A value that cannot work. `reason` follows the name of a setting, `fix` says what to do.

    Neither contains a password.
    """

    def __init__(self, reason: str, fix: str) -> None:
        self.reason, self.fix = reason, fix
        super().__init__(f"{reason}; {fix}")


class TransactionNotStarted(TidingsError):
    """A transaction was stopped before it began, while it waited for its turn."""


class CallNotMade(TidingsError):
    """A call was not begun, because the calls before it in the batch took too long."""


class PublishError(TidingsError, ValueError):
    """An event cannot be published so: what it is, its subject, or its data."""


class ScheduleError(TidingsError, ValueError):
    """An event or a task cannot be scheduled so: under this key, or at these times."""


class BrokerDown(TidingsError):
    """The broker did not take a message, or could not be reached."""


class BrokerRefuses(BrokerDown):
    """The broker can be reached, and refuses what it is asked."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason, self.fix = reason, fix


class BrokerBlocked(BrokerRefuses):
    """The broker accepts no messages, because it is out of memory or disk; it answers."""


class QueueUnavailable(TidingsError):
    """The broker refuses one queue: it is full, or was declared elsewhere in another way."""

    def __init__(self, queue: str, reason: str, fix: str) -> None:
        super().__init__(f"queue {queue} {reason}; {fix}")
        self.queue, self.reason, self.fix = queue, reason, fix


class DeadLetter(TidingsError):
    """No retry can save this delivery; raised by a handler."""


class NotNow(TidingsError):
    """The outside cannot take this now, and may later; raised by a handler or its call.

    The delivery is retried for the policy's `give_up_after`, and none of its `attempts` is spent.
    """


class RetryAfter(NotNow):
    """Retry in `seconds`, and not by the subscription's policy; raised by a handler."""

    def __init__(self, seconds: float, why: str = "") -> None:
        super().__init__(why or f"asked to be retried in {seconds:g} s")
        self.seconds = 0.0 if isnan(seconds) else seconds


class Unavailable(TidingsError):
    """The dependency of the subscription takes nothing from anybody now.

    A class of errors that says so inherits from it beside its own base, which decides about the
    retry. The circuit breaker counts it, and `ConnectionError` and `TimeoutError`.
    """
