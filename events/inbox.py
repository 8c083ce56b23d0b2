"""The inbox of a worker: the deliveries that a task message names, as far as they are in flight."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, literal, select

from events import clock, log
from events.breakers import BREAKERS, State
from events.dialects import DIALECTS
from events.envelope import Envelope
from events.ledger import IN_FLIGHT_BY_KEY
from events.retry import Decision, Retry, decide
from events.tables import DELIVERIES, EVENTS, SUBSCRIPTIONS, delivery_id


@dataclass(frozen=True)
class InFlight:
    """An open delivery that has been sent, with its event."""

    envelope: Envelope
    attempts: int
    not_now: int
    failing_since: datetime | None
    lost_count: int
    unfinished_starts: int
    paused: bool
    waits: bool  # for its dependency, whose breaker is not closed
    is_probe: bool  # of that breaker

    def decide(self, policy: Retry, error: BaseException) -> Decision:
        """Decide what follows when the present attempt fails with `error`."""
        since = self.failing_since
        elapsed = (clock.now() - since).total_seconds() if since else 0.0
        return decide(policy, self.attempts + 1, error, not_now=self.not_now, elapsed=elapsed)


_D, _S, _B = DELIVERIES.c, SUBSCRIPTIONS.c, BREAKERS.c
_COUNTS = (_D.attempts, _D.not_now, _D.failing_since, _D.lost_count, _D.unfinished_starts)


@cache  # building it took as long as running it, for every message
def _look(dialect: Any, *, depends: bool) -> Any:
    deliveries = DELIVERIES.join(EVENTS, EVENTS.c.id == _D.event_id)
    source: Any = deliveries.outerjoin(SUBSCRIPTIONS, _S.name == _D.subscription)
    breaker: tuple[Any, ...] = (literal(None).label("breaker"), literal(None).label("probe"))
    if depends:
        source = source.outerjoin(BREAKERS, _B.dependency == bindparam("depends_on"))
        breaker = (_B.state.label("breaker"), _B.probe)
    ours = and_(_D.subscription == bindparam("name"), dialect.is_one_of(_D.event_id, "ids"))
    found = select(*log.COLUMNS, *_COUNTS, _S.paused_at, *breaker).select_from(source)
    return found.where(ours, IN_FLIGHT_BY_KEY).order_by(EVENTS.c.position)


def in_flight(
    connection: Connection, subscription: str, ids: Sequence[UUID], *, depends_on: str | None = None
) -> list[InFlight]:
    """Return those of the deliveries that are in flight, oldest event first."""
    values: dict[str, Any] = {"name": subscription, "ids": ids}
    if depends_on is not None:
        values["depends_on"] = depends_on
    dialect = DIALECTS[connection.dialect.name]
    rows = dialect.fetch(connection, _look(dialect, depends=depends_on is not None), values)
    return [_delivery(row, subscription) for row in rows]


def _delivery(row: Any, subscription: str) -> InFlight:
    is_probe = row.probe is not None and row.probe == delivery_id(row.id, subscription)
    return InFlight(
        log.envelope(row),
        row.attempts,
        row.not_now,
        row.failing_since,
        row.lost_count,
        row.unfinished_starts,
        row.paused_at is not None,
        row.breaker not in (None, State.CLOSED) and not is_probe,
        is_probe,
    )
