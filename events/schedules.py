"""Schedules: entries that publish an event at each of their due times.

```python
@schedule(cron="0 3 * * *", timezone="Europe/Berlin")
def nightly_report(due_at: datetime) -> ReportDue:
    return ReportDue(day=due_at.date())
```

The relay publishes. An entry has one row with the due time that comes next, and whoever moves it on
publishes in the same transaction: each due time once, with any number of relays, after any restart.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from inspect import signature
from typing import Any, TypeVar, get_type_hints

from events.errors import ScheduleError
from events.event import Event
from events.timing import Timing

E = TypeVar("E", bound=Event)


class Missed(StrEnum):
    """The treatment of due times that passed while no relay ran."""

    ALL = "all"  # publish each of them
    LATEST = "latest"  # publish the last of them
    SKIP = "skip"  # publish none that is older than a minute


@dataclass(frozen=True)
class Schedule:
    """An entry: its name, its due times, and the function that makes the event of one."""

    name: str
    timing: Timing
    missed: Missed
    event_class: type[Event]
    make: Callable[[datetime], Event]


_registry: dict[str, Schedule] = {}


def schedule(
    *,
    cron: str | None = None,
    every: timedelta | None = None,
    timezone: str = "UTC",
    missed: str = Missed.LATEST,
) -> Callable[[Callable[[datetime], E]], Callable[[datetime], E]]:
    """Publish the event that the function makes of each due time; the entry has its name.

    Due are the times of a `cron` line in `timezone`, or every multiple of the interval `every`.
    `missed` says what becomes of those that passed while no relay ran: `all`, `latest` or `skip`.
    Raises `ScheduleError` when the declaration cannot work.
    """

    def register(make: Callable[[datetime], E]) -> Callable[[datetime], E]:
        timing = Timing(cron=cron, every=every, timezone=timezone)
        _add(make.__name__, timing, missed, make)
        return make

    return register


def registered() -> dict[str, Schedule]:
    """Return every entry of this process, by name."""
    return dict(_registry)


def _add(name: str, timing: Timing, missed: str, make: Callable[[datetime], Event]) -> None:
    try:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
            raise ScheduleError("name the function in small letters, digits and _")
        timing.check()
        if missed not in set(Missed):
            raise ScheduleError(f"missed={missed!r}; write one of {', '.join(Missed)}")
        if len(signature(make).parameters) != 1:
            raise ScheduleError("its function must take one argument, the due time")
        found = Schedule(name, timing, Missed(missed), _event_class(make), make)
        _check_unique(found)
    except ScheduleError as error:
        raise ScheduleError(f"schedule {name[:100]}: {error}") from error
    _registry[name] = found


def _event_class(make: Callable[..., Any]) -> type[Event]:
    try:
        returned = get_type_hints(make).get("return")
    except NameError as error:
        raise ScheduleError(f"its annotations cannot be read: {error}") from error
    if not (isinstance(returned, type) and issubclass(returned, Event) and returned.type):
        raise ScheduleError("annotate its function with the event that it returns: -> ReportDue")
    return returned


def _check_unique(entry: Schedule) -> None:
    known = _registry.get(entry.name)
    place = (entry.make.__module__, entry.make.__qualname__)
    if known and (known.make.__module__, known.make.__qualname__) != place:
        raise ScheduleError(
            f"it is both in {known.make.__module__} and in {entry.make.__module__}; "
            "rename one of them"
        )
