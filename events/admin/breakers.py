"""Circuit breakers for operators: list, hold and close them, and replay what died of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import breakers
from events.admin import audit, queues, replays
from events.breakers import Breaker, State, probe_due_at
from events.errors import AlreadyReplaying, NothingToReplay, UnknownDependency
from events.replays.steps import CANARY
from events.replays.tables import Replay
from events.tables import SubscriptionRow

WHO = "circuit breaker"  # the name under which its replays are audited
HALF_OPEN = "half-open"  # open, and a probe is under way
STATES = (State.CLOSED, State.OPEN, HALF_OPEN, State.ON_HOLD)


@dataclass(frozen=True)
class BreakerLine:
    """The breaker of a dependency; `waiting` counts deliveries, and is 0 while it is closed.

    `who` and `why` are of the person who holds it, or closed it last.
    """

    dependency: str
    state: str
    since: datetime | None
    next_probe_at: datetime | None
    failed_probes: int
    error: str | None
    who: str | None
    why: str | None
    subscriptions: list[str]
    waiting: int
    replays: bool  # its dead letters when it answers again


def listed(session: Session) -> list[BreakerLine]:
    """Return the breaker of every dependency, those first that hold deliveries back."""
    rows = {row.dependency: row for row in session.scalars(select(Breaker))}
    dependents = _dependents(session)
    backlogs = {}
    if any(row.state != State.CLOSED for row in rows.values()):
        backlogs = queues.by_subscription(session)
    lines = []
    for name in {*rows, *dependents}:
        row, names = rows.get(name), dependents.get(name, [])
        counted = names if row is not None and row.state != State.CLOSED else []
        found = [backlogs[each] for each in counted if each in backlogs]
        lines.append(_line(name, row, names, sum(each.open for each in found)))
    return sorted(lines, key=lambda each: (each.state == State.CLOSED, each.dependency))


def hold(session: Session, dependency: str, *, who: str, why: str) -> bool:
    """Let the deliveries of a dependency wait, without probes, until `close`.

    Return False, and change nothing, if they do already. Raises `UnknownDependency` and
    `ReasonMissing`, as `close` does.
    """
    row = _locked(session, dependency)
    if row.state == State.ON_HOLD:
        return False
    breakers.hold(session, row, who=who, why=why)
    audit.record(session, who=who, action="hold breaker", target=dependency, why=why)
    return True


def close(session: Session, dependency: str, *, who: str, why: str) -> bool:
    """Send the deliveries of a dependency, whether it answers or not.

    It opens again at the first failure. Return False, and change nothing, if it is closed already.
    """
    row = _locked(session, dependency)
    if row.state == State.CLOSED:
        return False
    breakers.close(session, row, who=who, why=why)
    audit.record(session, who=who, action="close breaker", target=dependency, why=why)
    return True


def switch_replays(session: Session, dependency: str, *, on: bool, who: str, why: str) -> bool:
    """Say whether dead letters of a dependency are replayed by themselves when it answers again.

    Return False, and change nothing, if it is so already. Raises as `hold` does.
    """
    row = _locked(session, dependency)
    if row.replays == on:
        return False
    row.replays = on
    action = "switch automatic replay " + ("on" if on else "off")
    audit.record(session, who=who, action=action, target=dependency, why=why)
    return True


def replay_dead_letters(session: Session, dependency: str) -> Replay | None:
    """Replay the dead letters to which a dependency was unavailable, as a canary.

    Nothing is done unless it is available again, and its breaker replays.
    """
    row = breakers.lock(session, dependency)
    if not row.replays or row.state != State.CLOSED:
        return None
    why = f"{dependency} is available again"
    try:
        return replays.start(session, who=WHO, why=why, pace=CANARY, dependency=dependency)
    except (NothingToReplay, AlreadyReplaying):  # another job has them, or some of them
        return None


def _locked(session: Session, dependency: str) -> Breaker:
    known = {*session.scalars(select(Breaker.dependency)), *_dependents(session)}
    if dependency not in known:
        raise UnknownDependency(dependency, known)
    return breakers.lock(session, dependency)


def _dependents(session: Session) -> dict[str, list[str]]:
    wanted = select(SubscriptionRow.depends_on, SubscriptionRow.name)
    found: dict[str, list[str]] = {}
    for dependency, name in session.execute(wanted.order_by(SubscriptionRow.name)):
        if dependency is not None:
            found.setdefault(dependency, []).append(name)
    return found


def _line(name: str, row: Breaker | None, names: Collection[str], waiting: int) -> BreakerLine:
    if row is None:
        return BreakerLine(
            name, State.CLOSED, None, None, 0, None, None, None, list(names), 0, replays=True
        )
    is_open = row.state == State.OPEN
    return BreakerLine(
        dependency=name,
        state=HALF_OPEN if is_open and row.probe else row.state,
        since=row.since,
        next_probe_at=probe_due_at(row.next_probe_at, row.probe_at) if is_open else None,
        failed_probes=row.failed_probes if is_open else 0,
        error=row.error,
        who=row.changed_by,
        why=row.changed_why,
        subscriptions=list(names),
        waiting=waiting,
        replays=row.replays,
    )
