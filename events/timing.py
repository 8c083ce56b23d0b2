"""Timing: the due times of a schedule, by a cron line in a time zone or at an interval."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from events.errors import ScheduleError

MIN_INTERVAL, MAX_INTERVAL = timedelta(seconds=1), timedelta(days=366)
MAX_CRON = 200  # characters
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Timing:
    """The due times of a cron line, or the multiples of an interval since 1970 in UTC.

    They depend on nothing but the text: two processes, and one that is restarted, have the same.
    A time that the change to summer time leaves out is due after it; one that occurs twice, once.
    """

    cron: str | None = None
    every: timedelta | None = None
    timezone: str = "UTC"

    def check(self) -> None:
        """Raise `ScheduleError` unless there are due times."""
        if (self.cron is None) == (self.every is None):
            raise ScheduleError("give either a cron line or an interval: cron='0 3 * * *', every=")
        self._check_kinds()
        if self.every is not None and not MIN_INTERVAL <= self.every <= MAX_INTERVAL:
            raise ScheduleError(f"every={self.every} is not between a second and 366 days")
        if self.every is not None and self.timezone != "UTC":
            raise ScheduleError("an interval has no time zone; leave it out, or give a cron line")
        if self.cron is not None:
            self._check_cron(self.cron)

    def _check_kinds(self) -> None:
        kinds: tuple[tuple[str, Any, type, str], ...] = (
            ("cron", self.cron, str, "write a line such as '0 3 * * *'"),
            ("every", self.every, timedelta, "write timedelta(seconds=30)"),
            ("timezone", self.timezone, str, "write one such as 'Europe/Berlin'"),
        )
        for name, value, kind, fix in kinds:
            if not isinstance(value, kind) and (value is not None or name == "timezone"):
                raise ScheduleError(f"{name}={value!r} is none; {fix}")

    def _check_cron(self, cron: str) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ScheduleError(
                f"timezone={self.timezone[:50]!r} is none; write one such as 'Europe/Berlin'"
            ) from error
        if len(cron) > MAX_CRON:
            fix = "write ranges and steps, such as */5"
            raise ScheduleError(f"cron={cron[:80]!r}... has over {MAX_CRON} characters; {fix}")
        fix = "write minute, hour, day of month, month and day of week, such as '30 3 * * MON-FRI'"
        try:
            found = next(CronSim(cron, _EPOCH), None)
        except CronSimError as error:
            reason = str(error).lower()
            raise ScheduleError(f"cron={cron[:80]!r} is no cron line: {reason}; {fix}") from error
        if found is None:
            raise ScheduleError(f"cron={cron[:80]!r} names no day that ever comes; {fix}")

    def next_after(self, moment: datetime) -> datetime:
        """Return the first due time after `moment`."""
        if self.every is not None:
            return _EPOCH + (self._intervals(moment) + 1) * self.every
        return next(each for each in self._cron_times(moment) if each > moment)

    def latest(self, moment: datetime) -> datetime:
        """Return the last due time that is not after `moment`, however long it is ago."""
        if self.every is not None:
            return _EPOCH + self._intervals(moment) * self.every
        after = moment + timedelta(seconds=1)  # the search leaves out where it begins
        return next(each for each in self._cron_times(after, reverse=True) if each <= moment)

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """Return the due times from `first`, which is one, to `last`."""
        while first <= last:
            yield first
            first = self.next_after(first)

    def __str__(self) -> str:
        """Return the entry in one line, such as `0 3 * * * Europe/Berlin`."""
        return f"every {self.every}" if self.cron is None else f"{self.cron} {self.timezone}"

    def _intervals(self, moment: datetime) -> int:
        assert self.every is not None
        return (moment - _EPOCH) // self.every

    def _cron_times(self, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        assert self.cron is not None
        local = start.astimezone(ZoneInfo(self.timezone))
        return (each.astimezone(UTC) for each in CronSim(self.cron, local, reverse=reverse))
