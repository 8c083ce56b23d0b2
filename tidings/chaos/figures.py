"""The figures of a run, from its tables, its mails and what its processes said: for information, never a breach."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events.tables import Attempt, Delivery, InvalidMessageRow, LogEntry
from tasks.orders import Order

_ABSORBED = re.compile(r"succeeded in [0-9.e-]+s: '[^']*duplicate(?: (\d+))?")
_ENDED = re.compile(
    r"^up +\| (?P<name>\S+) (?P<how>was killed by \w+|ended with exit code \d+) after", re.MULTILINE
)


@dataclass(frozen=True)
class Figures:
    """What happened, counted."""

    ends: dict[str, int]
    events: int
    deliveries: int
    sends_again: int
    failed_tries: dict[str, int]
    invalid_messages: int
    absorbed: int
    mails: int
    mails_twice: int
    restarts: int
    ended_by_themselves: dict[str, int]


def figures(session: Session, *, mails: Path, said: str) -> Figures:
    """Count what the tables hold, what the mail sink took and what `up` said."""
    ids = _message_ids(mails.glob("*.eml"))
    endings = [(each["name"], each["how"]) for each in _ENDED.finditer(said)]
    return Figures(
        ends=_ends(session),
        events=_count(session, LogEntry.position),
        deliveries=_count(session, Delivery.subscription),
        sends_again=session.scalar(select(func.sum(Delivery.sends - 1)).where(Delivery.sends > 1))
        or 0,
        failed_tries=dict(Counter(session.scalars(select(Attempt.error_type)))),
        invalid_messages=_count(session, InvalidMessageRow.id),
        absorbed=sum(int(count or 1) for count in _ABSORBED.findall(said)),
        mails=ids.total(),
        mails_twice=sum(count - 1 for count in ids.values()),
        restarts=len(endings),
        ended_by_themselves=dict(
            Counter(f"{name} {how}" for name, how in endings if "SIGKILL" not in how)
        ),
    )


def _ends(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(Order.status, Order.reason, func.count()).group_by(Order.status, Order.reason)
    )
    ends: Counter[str] = Counter()
    for status, reason, count in rows:
        ends[
            f"{status}, out of stock"
            if reason and "out of stock" in reason
            else f"{status}, {reason}"
            if reason
            else status
        ] += count
    return dict(ends)


def _count(session: Session, column: object) -> int:
    return session.scalar(select(func.count(column))) or 0  # type: ignore[arg-type]  # any mapped column


def _message_ids(files: Iterable[Path]) -> Counter[str]:
    return Counter(str(message_from_bytes(file.read_bytes())["Message-ID"]) for file in files)
