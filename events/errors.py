"""What can go wrong on the bus, as a tree.

TidingsError
├── CatalogError          two classes for one type and version, or a gap between versions (at import)
├── SubscriptionError     a handler that cannot be what it says it is (at import)
├── UnknownSubscription   a name nobody registered
├── UnknownEvent          a type or version that this process does not know; the delivery waits for one that does
├── UnknownDelivery       no dead letter has that id
├── TransactionNotStarted           a transaction was stopped before it began, while it waited for its turn; it may be tried again
├── BrokerDown            the broker could not take a message; the ledger keeps it and the relay tries again
├── DeadLetter            raised by a handler: no retry can save this delivery
└── RetryAfter            raised by a handler: try again in so many seconds
"""

from collections.abc import Iterable


class TidingsError(Exception):
    """Base of all errors of the bus."""


class CatalogError(TidingsError):
    """The catalog of events contradicts itself."""


class SubscriptionError(TidingsError):
    """A handler was declared in a way that cannot work."""


class UnknownSubscription(TidingsError):
    """No subscription has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        super().__init__(
            f"no subscription is called {name!r}; there are: {', '.join(sorted(known)) or 'none yet'}"
        )


class UnknownEvent(TidingsError):
    """An event of a type or version that this process does not know."""

    def __init__(self, type: str, version: int, newest: int | None) -> None:
        knows = f"knows up to v{newest}" if newest else "knows no such type"
        super().__init__(
            f"{type} v{version} is unknown: this process {knows}; deploy one that does, and it goes on"
        )


class UnknownDelivery(TidingsError):
    """No dead letter has this id."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"no dead letter has the id {id!r}; `tidings dead-letters list` shows them"
        )


class TransactionNotStarted(TidingsError):
    """A transaction was stopped before it began, while it waited for its turn."""


class BrokerDown(TidingsError):
    """The broker did not take the messages."""


class DeadLetter(TidingsError):
    """Raised by a handler: this delivery is dead at once, no retry can save it."""


class RetryAfter(TidingsError):
    """Raised by a handler: try again in `seconds`, whatever the policy says."""

    def __init__(self, seconds: float, why: str = "") -> None:
        super().__init__(why or f"asked to be tried again in {seconds:g} s")
        self.seconds = seconds
