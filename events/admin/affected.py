"""The subjects that the dead letters of a group are about, of a bounded number of dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from events.admin.dead_letters import Group
from events.ledger import IS_DEAD
from events.orm import UTCDateTime
from events.tables import Delivery, LogEntry

_AT_LEAST = 20  # dead letters of each group


@dataclass(frozen=True)
class Affected:
    """The subjects of a group, each with the time of its first event there.

    `share` is the part of the group's dead letters that was looked at: those that died first.
    """

    since: Mapping[str, datetime]
    share: float


_FIRST = (
    select(Delivery.event_id)
    .where(
        IS_DEAD,
        Delivery.subscription == bindparam("subscription"),
        Delivery.fingerprint == bindparam("fingerprint"),
    )
    .order_by(Delivery.died_at)
    .limit(bindparam("at_most"))
    .subquery()
)
_SUBJECTS = (
    select(LogEntry.subject, func.min(LogEntry.time, type_=UTCDateTime()))
    .join(_FIRST, _FIRST.c.event_id == LogEntry.id)
    .where(LogEntry.subject.is_not(None))
    .group_by(LogEntry.subject)
)


def affected(session: Session, groups: Sequence[Group], *, at_most: int) -> list[Affected]:
    """Return the subjects of each group; look at so many dead letters in all."""
    of_each = max(_AT_LEAST, at_most // max(1, len(groups)))
    return [_of_group(session, group, of_each) for group in groups]


def _of_group(session: Session, group: Group, at_most: int) -> Affected:
    names = {"subscription": group.subscription, "fingerprint": group.fingerprint}
    found = session.execute(_SUBJECTS, names | {"at_most": at_most}).all()
    since = {str(subject): first for subject, first in found}
    return Affected(since, min(1.0, at_most / group.count))
