"""Circuit breakers: one for each dependency, in the database, so that all processes share it.

    CLOSED ──unavailable too often──> OPEN ──send_probe──> half-open ──answered──> CLOSED
      ^                                ^                      │
      │                                └─── unavailable, or no outcome within the lease
      └──close── ON HOLD <──hold── any state

While a breaker is not closed, the deliveries of its subscriptions wait in the ledger and spend no
attempt. The relay sends one of them after each delay as a probe. The workers count what says that
the dependency is unavailable to everybody, never a failure about one request: five deliveries
within a minute, and half of the latest twenty calls. A delivery that fails again although others
were answered since has failed by itself. A breaker that has just closed opens again at the first
such failure.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import String, Text, true, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import clock, log
from events.attempts import Failure
from events.errors import RetryAfter, Unavailable
from events.orm import Base, get_or_create_locked, table_of
from events.settings import settings
from events.system_events import BreakerClosed, BreakerOpened

FAILURES = 5  # different deliveries within WINDOW that open a breaker
WINDOW = timedelta(seconds=60)
CALLS = 20  # the latest calls, of which half must have failed
FIRST_PROBE_DELAY = 5.0  # seconds until the first probe; doubled after each that fails
MAX_PROBE_DELAY = 60.0
MAX_RETRY_AFTER = 3600.0  # the longest delay that the dependency itself can ask for
PROBATION = timedelta(seconds=30)  # after it closed, in which one failure opens it again
MAX_ERROR = 300  # characters
_DOUBLINGS = 10  # after which any delay is at its cap


class State(StrEnum):
    """The state of a breaker."""

    CLOSED = "closed"  # deliveries are sent
    OPEN = "open"  # deliveries wait, and one probe at a time is sent
    ON_HOLD = "on hold"  # deliveries wait until a person closes it; no probe is sent


class Effect(StrEnum):
    """The effect of a failure on the breaker, and of the breaker on the delivery."""

    NONE = "none"  # it stays closed: the delivery has failed
    OPENED = "opened"  # the delivery has failed, and all others wait from now on
    WAITS = "waits"  # it was not closed: the delivery waits unharmed


class Breaker(Base):
    """The circuit breaker of a dependency: the outside service that subscriptions depend on."""

    __tablename__ = "breakers"

    dependency: Mapped[str] = mapped_column(String(50), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    since: Mapped[datetime]  # the time of the latest change of the state
    opened_at: Mapped[datetime | None]  # the begin of the latest outage
    error: Mapped[str | None] = mapped_column(Text)  # the latest that said "unavailable"
    window_at: Mapped[datetime]  # the begin of the window in which failures are counted
    failed: Mapped[list[str]]  # deliveries that failed in it, at most FAILURES of them
    failures: Mapped[float]  # failed calls among the latest CALLS
    answered: Mapped[float]  # answered calls among them
    failed_probes: Mapped[int]
    next_probe_at: Mapped[datetime | None]
    probe: Mapped[str | None] = mapped_column(String(300))  # the delivery that is the probe
    probe_at: Mapped[datetime | None]
    changed_by: Mapped[str | None] = mapped_column(String(200))  # the person who held or closed it
    changed_why: Mapped[str | None] = mapped_column(Text)
    replays: Mapped[bool] = mapped_column(server_default=true())  # dead letters when it closes


BREAKERS = table_of(Breaker)
_answered: dict[str, int] = {}  # calls of this process that were answered since its latest report
_answered_at: dict[str, datetime] = {}  # the time of the latest of them that was no probe
_kinds: list[type[BaseException]] = [Unavailable, ConnectionError, TimeoutError]


def count_as_unavailable(kind: type[BaseException]) -> None:
    """Let errors of `kind` say that a dependency is unavailable, as a time limit of the pool."""
    if kind not in _kinds:
        _kinds.append(kind)


def is_unavailable(error: BaseException) -> bool:
    """Tell whether an error says that the dependency is unavailable, and not to one request."""
    return isinstance(error, tuple(_kinds))


def note_answered(dependency: str | None, calls: int = 1) -> None:
    """Remember calls that were answered; the next failure of this process reports them."""
    if dependency is not None and calls:
        _answered[dependency] = min(CALLS, _answered.get(dependency, 0) + calls)
        _answered_at[dependency] = clock.now()


def note_unavailable(
    session: Session,
    dependency: str,
    delivery: str,
    failure: Failure,
    *,
    failed_at: datetime | None = None,
) -> Effect:
    """Record that a delivery's dependency was unavailable to it, and return what follows.

    `failed_at` is the time of the delivery's last failure before, if it has any.
    """
    row, error = lock(session, dependency), failure.error
    row.error = f"{failure.error_type}: {failure.message}"[:MAX_ERROR]
    if row.state != State.CLOSED:
        if row.state == State.OPEN and row.probe == delivery:
            _wait_for_next_probe(row, error)
        return Effect.WAITS
    if failed_at is not None and _was_answered_since(dependency, failed_at):
        return Effect.NONE
    _count(row, delivery)
    if row.failures < row.answered:
        return Effect.NONE
    if _is_on_probation(row):
        row.failed_probes += 1
        _open(session, row, error)
        return Effect.OPENED  # one that fails by itself would do so for ever if it only waited
    if len(row.failed) < FAILURES:
        return Effect.NONE
    row.failed_probes, row.opened_at = 0, clock.now()
    _open(session, row, error)
    return Effect.OPENED


def note_probe_answered(session: Session, dependency: str, delivery: str) -> bool:
    """Close the breaker if this delivery is its probe, and return whether it was."""
    row = lock(session, dependency)
    if row.state != State.OPEN or row.probe != delivery:
        return False
    _answered_at.pop(dependency, None)
    close(session, row)
    return True


def forget_probe(session: Session, dependency: str, delivery: str) -> None:
    """Let another probe follow that of this delivery, which told nothing about the dependency."""
    row = lock(session, dependency)
    if row.probe == delivery:
        row.probe = row.probe_at = None
        row.next_probe_at = clock.now() + timedelta(seconds=FIRST_PROBE_DELAY)
        log.wake(session)


def forget_unsent(session: Session, deliveries: Sequence[str]) -> None:
    """Let other probes follow those of these deliveries, whose message the broker refused."""
    unsent = update(BREAKERS).where(BREAKERS.c.probe.in_(deliveries))
    session.execute(unsent.values(probe=None, probe_at=None))


def lock(session: Session, dependency: str) -> Breaker:
    """Return the breaker's row, locked. It is locked before any delivery of its dependency."""
    now = clock.now()
    counts: dict[str, Any] = {"failed": [], "failures": 0.0, "answered": 0.0, "failed_probes": 0}
    values = {"state": State.CLOSED, "since": now, "window_at": now, "replays": True, **counts}
    return get_or_create_locked(session, Breaker, dependency, **values)


def close(session: Session, row: Breaker, *, who: str | None = None, why: str = "") -> None:
    """Close a locked breaker and send what waited; `who` is the person who does it, if any."""
    if row.state != State.CLOSED:
        log.publish(session, BreakerClosed(dependency=row.dependency, by_hand=who is not None))
    _change(row, State.CLOSED, who=who, why=why)
    _begin_window(row)
    log.wake(session)


def hold(session: Session, row: Breaker, *, who: str, why: str) -> None:
    """Hold a locked breaker open until a person closes it."""
    if row.state == State.CLOSED:
        row.opened_at = clock.now()
        log.publish(session, BreakerOpened(dependency=row.dependency, by_hand=True))
    _change(row, State.ON_HOLD, who=who, why=why)


def probe_due_at(next_probe_at: datetime | None, probe_at: datetime | None) -> datetime:
    """Return the time of the next probe: after a lease another one follows that told nothing.

    A time that is too far in the future was written by another clock, and counts as past.
    """
    now = clock.now()
    lease = timedelta(seconds=settings().lease)
    if probe_at is not None:
        return now if probe_at > now else probe_at + lease
    latest = now + timedelta(seconds=MAX_RETRY_AFTER)
    return now if next_probe_at is None or next_probe_at > latest else next_probe_at


def start_probe(session: Session, dependency: str) -> Breaker | None:
    """Return the breaker, locked, if a probe is due; another relay may have been faster."""
    row = lock(session, dependency)
    due = row.state == State.OPEN and probe_due_at(row.next_probe_at, row.probe_at) <= clock.now()
    return row if due else None


def _is_on_probation(row: Breaker) -> bool:
    return row.opened_at is not None and clock.is_within(PROBATION, row.since, clock.now())


def _was_answered_since(dependency: str, time: datetime) -> bool:
    answered_at = _answered_at.get(dependency)  # one in the future is of a clock that went back
    return answered_at is not None and time < answered_at <= clock.now()


def _count(row: Breaker, delivery: str) -> None:
    """Count a failure, and the answers before it, among the latest calls."""
    if not clock.is_within(WINDOW, row.window_at, clock.now()):
        _begin_window(row)
    if delivery not in row.failed and len(row.failed) < FAILURES:
        row.failed = [*row.failed, delivery]
    answered = row.answered + _answered.pop(row.dependency, 0)
    share = min(1.0, CALLS / (answered + row.failures + 1))
    row.answered, row.failures = answered * share, (row.failures + 1) * share


def _begin_window(row: Breaker) -> None:
    row.window_at, row.failed, row.failures, row.answered = clock.now(), [], 0.0, 0.0


def _open(session: Session, row: Breaker, error: BaseException) -> None:
    _change(row, State.OPEN)
    _wait_for_next_probe(row, error, failed=False)
    log.publish(session, BreakerOpened(dependency=row.dependency, error_type=type(error).__name__))


def _wait_for_next_probe(row: Breaker, error: BaseException, *, failed: bool = True) -> None:
    row.failed_probes += failed
    delay = min(MAX_PROBE_DELAY, FIRST_PROBE_DELAY * 2.0 ** min(row.failed_probes, _DOUBLINGS))
    if isinstance(error, RetryAfter):
        delay = max(delay, min(error.seconds, MAX_RETRY_AFTER))
    row.probe = row.probe_at = None
    row.next_probe_at = clock.now() + timedelta(seconds=delay)


def _change(row: Breaker, state: State, *, who: str | None = None, why: str = "") -> None:
    row.state, row.since, row.changed_by, row.changed_why = state, clock.now(), who, why or None
    row.probe = row.probe_at = row.next_probe_at = None
