"""The figures of a run, from its tables, its mails and its log. They are no findings."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from events.tables import Attempt, Delivery, InvalidMessageRow, LogEntry
from tasks.orders import Order
from tidings.chaos import endings

_ABSORBED = re.compile(r"succeeded in [0-9.e-]+s: '[^']*duplicate(?: (\d+))?")


@dataclass(frozen=True)
class Figures:
    """The counts of a run."""

    ends: dict[str, int]
    events: int
    deliveries: int
    sends_again: int
    failed_attempts: dict[str, int]
    invalid_messages: int
    absorbed: int
    mails: int
    mails_twice: int
    restarts: int


def count_figures(session: Session, *, mails: Path, log: str) -> Figures:
    """Count the rows of the tables, the mails of the mail sink and the lines of the log."""
    ids = _message_ids(mails.glob("*.eml"))
    sends_again = select(func.sum(Delivery.sends - 1)).where(Delivery.sends > 1)
    return Figures(
        ends=_ends(session),
        events=_count(session, LogEntry.position),
        deliveries=_count(session, Delivery.subscription),
        sends_again=session.scalar(sends_again) or 0,
        failed_attempts=dict(Counter(session.scalars(select(Attempt.error_type)))),
        invalid_messages=_count(session, InvalidMessageRow.id),
        absorbed=sum(int(count or 1) for count in _ABSORBED.findall(log)),
        mails=ids.total(),
        mails_twice=sum(count - 1 for count in ids.values()),
        restarts=endings.count(log).total(),
    )


def _ends(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(Order.status, Order.reason, func.count()).group_by(Order.status, Order.reason)
    )
    ends: Counter[str] = Counter()
    for status, reason, count in rows:
        ends[_end(status, reason)] += count
    return dict(ends)


def _end(status: str, reason: str | None) -> str:
    if not reason:
        return status
    # The reason names the product, which would make one line for each.
    return f"{status}, {'out of stock' if 'out of stock' in reason else reason}"


def _count(session: Session, column: InstrumentedAttribute[Any]) -> int:
    return session.scalar(select(func.count(column))) or 0


def _message_ids(files: Iterable[Path]) -> Counter[str]:
    return Counter(str(message_from_bytes(file.read_bytes())["Message-ID"]) for file in files)
