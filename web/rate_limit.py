"""The limit on orders from one address, and its counts, for all web processes in the database."""

import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from ipaddress import ip_address
from typing import Final, ParamSpec, TypeVar

import structlog
from flask import Flask, current_app, request
from limits import parse_many
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import String, case, delete, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import TooManyRequests

from events import Base, clock, relaxed
from events.db_errors import describe_error
from events.dialects import dialect_of
from web.client_address import client_address, client_network
from web.settings import OFF, settings

DEFAULT = "120/minute"
EXACT_BELOW = 50  # a limit below is counted order by order
SLACK = 25  # a higher one in steps of a 25th, of which each process may be behind
SWEEP_INTERVAL, SWEEP_BATCH = 60.0, 1000  # seconds, rows
AHEAD = timedelta(minutes=1)  # by which a process that waited for the database may be behind
MAX_WINDOWS = 10_000  # addresses that a process remembers
_STRATEGY: Final = "tidings-rate-limit"
log = structlog.get_logger()

P = ParamSpec("P")
R = TypeVar("R")


class RateLimitCount(Base):
    """The orders or failed logins of one address, as a hash, in the present window of a limit."""

    __tablename__ = "rate_limits"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    ends_at: Mapped[datetime]


@dataclass
class Window:
    """A window of one key: the count of all processes, as far as it is known, and our own since."""

    length: timedelta
    ends_at: datetime
    count: int = 0
    pending: int = 0

    def is_over(self, now: datetime) -> bool:
        """Tell whether it has ended, or cannot have begun yet: the clock has gone back."""
        return not self.ends_at - self.length - AHEAD <= now < self.ends_at


class DatabaseStorage(Storage):
    """A storage of `limits` in the table `rate_limits`.

    A process counts a high limit by itself at first, and adds to the common count in steps: most
    addresses send one order, and cost the database nothing. Beyond a limit it does not ask the
    database again. While the database cannot be written, each process counts for itself.
    """

    STORAGE_SCHEME = ("database",)  # type: ignore[assignment]  # `limits` only reads it

    def __init__(self, uri: str | None = None, **_: object) -> None:
        super().__init__(uri)
        self._lock = threading.Lock()
        self._windows: dict[str, Window] = {}
        self._next_sweep = 0.0

    @property
    def base_exceptions(self) -> type[Exception]:
        """The errors of the database."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and return the count of all processes."""
        limit = _limit(key)
        step = 1 if limit < EXACT_BELOW else limit // SLACK
        with self._lock:
            window = self._window(key, expiry)
            window.pending += amount
            if window.count >= limit or window.pending < step:
                return window.count + window.pending
            added, window.pending = window.pending, 0
            window.count += added
            counted = window.count
        try:
            total, ends_at = _add(key, added, expiry)
        except SQLAlchemyError as error:
            log.warning("rate_limit.counted_alone", database=describe_error(error))
            return counted
        with self._lock:
            window.count, window.ends_at = max(window.count, total), ends_at
        self._sweep()
        return total

    def get(self, key: str) -> int:
        """Return the count, as far as this process knows it."""
        window = self._windows.get(key)
        if window is None or window.is_over(clock.now()):
            return 0
        return window.count + window.pending

    def get_expiry(self, key: str) -> float:
        """Return the end of the window as seconds since 1970, by this machine's clock."""
        window = self._windows.get(key)
        left = (window.ends_at - clock.now()).total_seconds() if window else 0.0
        return time.time() + max(0.0, left)

    def check(self) -> bool:
        """Return true: without the database it counts alone."""
        return True

    def reset(self) -> int | None:
        """Delete all counts."""
        self._windows.clear()
        with relaxed() as session:
            return len(
                session.scalars(delete(RateLimitCount).returning(RateLimitCount.count)).all()
            )

    def clear(self, key: str) -> None:
        """Delete the count of one key."""
        self._windows.pop(key, None)
        with relaxed() as session:
            session.execute(delete(RateLimitCount).where(RateLimitCount.digest == _digest(key)))

    def _window(self, key: str, expiry: int) -> Window:
        now, length = clock.now(), timedelta(seconds=expiry)
        window = self._windows.get(key)
        if window is None or window.is_over(now):
            if len(self._windows) >= MAX_WINDOWS:
                self._windows.clear()
            window = self._windows[key] = Window(length, now + length)
        return window

    def _sweep(self) -> None:
        if time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + SWEEP_INTERVAL
        ended = (
            select(RateLimitCount.digest)
            .where(RateLimitCount.ends_at < clock.now())
            .limit(SWEEP_BATCH)
            .with_for_update(skip_locked=True)
        )
        with relaxed() as session:
            chosen = dialect_of(session).is_locked(RateLimitCount.digest, ended)
            session.execute(delete(RateLimitCount).where(chosen))


def _add(key: str, amount: int, expiry: int) -> tuple[int, datetime]:
    """Add to the common count in one statement; return it and the end of its window."""
    now = clock.now()
    ends_at = now + timedelta(seconds=expiry)
    row = RateLimitCount
    is_over = or_(row.ends_at <= now, row.ends_at > ends_at + AHEAD)
    with relaxed() as session:
        insert = dialect_of(session).insert(row)
        count, window_ends_at = session.execute(
            insert.values(digest=_digest(key), count=amount, ends_at=ends_at)
            .on_conflict_do_update(
                index_elements=[row.digest],
                set_={
                    "count": case((is_over, amount), else_=row.count + amount),
                    "ends_at": case((is_over, ends_at), else_=row.ends_at),
                },
            )
            .returning(row.count, row.ends_at)
        ).one()
    return count, window_ends_at


def _limit(key: str) -> int:
    """Return the limit of a key, which `RateLimitItem.key_for` ends with amount/multiples/unit."""
    return int(key.rsplit("/", 3)[1])


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def limit_orders(view: Callable[P, R]) -> Callable[P, R]:
    """Refuse a request beyond the limit of its address: one limit for the API and the form."""

    @wraps(view)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        if not _is_exempt(client_address(request.remote_addr) or ""):
            _count(client_network(request.remote_addr))
        return view(*args, **kwargs)

    return limited


def _is_exempt(address: str) -> bool:
    """Exempt this machine from the default: behind a proxy that is not trusted, it is everybody."""
    if settings().rate_limit:
        return settings().rate_limit == OFF
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def limiter() -> FixedWindowRateLimiter:
    """Return the limiter of this application, whose counts all its processes share."""
    strategy: FixedWindowRateLimiter = current_app.extensions[_STRATEGY]
    return strategy


def _count(address: str) -> None:
    strategy = limiter()
    for limit in parse_many(settings().rate_limit or DEFAULT):
        if not strategy.hit(limit, "orders", address):
            ends_at = strategy.get_window_stats(limit, "orders", address).reset_time
            raise too_many(f"This address may place {limit}.", ends_at)


def too_many(message: str, ends_at: float) -> TooManyRequests:
    """Return the error for a window that ends then, in seconds since 1970."""
    return TooManyRequests(message, retry_after=max(1, math.ceil(ends_at - time.time()) + 1))


def init_app(app: Flask) -> None:
    """Give `app` its limit."""
    app.extensions[_STRATEGY] = FixedWindowRateLimiter(DatabaseStorage())
