"""The impact of dead letters on customers: the orders and the money that they hold up."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from events import clock
from events.admin.affected import Affected, affected
from events.admin.dead_letters import Group
from events.catalog import Money
from tasks.money import digits, money_text
from tasks.orders import OPEN_STATUSES, WITHOUT_ANSWER, Order

LOOKED_AT = 4000  # dead letters; with more, the impact is an estimate
_IDS_AT_ONCE = 1000

_ORDER = select(Order.number, Order.status, Order.payment, Order.total_amount, Order.currency)
_Found = Mapping[str, Row[Any]]  # orders by number


@dataclass(frozen=True)
class Impact:
    """The orders that wait for dead letters, and their sums.

    No order waits for a mail. `oldest` is the order whose event has waited longest, since
    `waiting_since`. What is `estimated` was found among the dead letters that died first, and is
    scaled up.
    """

    orders: int = 0
    money: tuple[Money, ...] = ()
    oldest: str | None = None
    waiting_since: datetime | None = None
    estimated: bool = False

    @property
    def weight(self) -> float:
        """The money as a number to sort by: currencies are added without an exchange rate."""
        return sum(each.amount / 10.0 ** (digits(each.currency) or 0) for each in self.money)

    @property
    def longest_wait(self) -> float | None:
        """The seconds that the oldest order has waited."""
        if self.waiting_since is None:
            return None
        return max(0.0, (clock.now() - self.waiting_since).total_seconds())

    @property
    def orders_text(self) -> str:
        """The number of orders, such as `about 4,120`."""
        return f"{self._about}{self.orders:,}"

    @property
    def money_text(self) -> str:
        """The sums, such as `€25.00 and ¥300`; `none` if no order waits."""
        sums = [f"{self._about}{money_text(each)}" for each in self.money]
        return " and ".join(sums) or "none"

    @property
    def _about(self) -> str:
        return "about " if self.estimated and self.orders else ""


@dataclass(frozen=True)
class Ranking:
    """Groups with their impacts, the worst for customers first, and the impact of all."""

    rows: Sequence[tuple[Group, Impact]]
    total: Impact


def ranked(session: Session, groups: Sequence[Group]) -> Ranking:
    """Sort groups by money, then orders, then the longest wait."""
    moving = [group for group in groups if group.queue not in WITHOUT_ANSWER]
    looked_at = affected(session, moving, at_most=LOOKED_AT)
    found = _orders(session, {number for each in looked_at for number in each.since})
    waiting = [_waiting(each, found) for each in looked_at]
    impacts = {group: _impact([each]) for group, each in zip(moving, waiting, strict=True)}
    rows = [(group, impacts.get(group, Impact())) for group in groups]
    return Ranking(sorted(rows, key=_worst_first), _impact(waiting))


def _worst_first(row: tuple[Group, Impact]) -> tuple[float, int, float, int]:
    group, impact = row
    since = impact.waiting_since.timestamp() if impact.waiting_since else float("inf")
    return (-impact.weight, -impact.orders, since, -group.count)


def _orders(session: Session, numbers: Iterable[str]) -> _Found:
    wanted = sorted(numbers)
    found: dict[str, Row[Any]] = {}
    for first in range(0, len(wanted), _IDS_AT_ONCE):
        part = _ORDER.where(Order.number.in_(wanted[first : first + _IDS_AT_ONCE]))
        found |= {row.number: row for row in session.execute(part)}
    return found


@dataclass(frozen=True)
class _Waiting:
    """The orders that wait for a group, with their sums."""

    since: Mapping[str, datetime]
    money: Mapping[str, Money]
    share: float


def _waiting(looked_at: Affected, found: _Found) -> _Waiting:
    theirs = [each for number in looked_at.since if (each := found.get(number)) and _waits(each)]
    return _Waiting(
        {row.number: looked_at.since[row.number] for row in theirs},
        {row.number: Money(amount=row.total_amount, currency=row.currency) for row in theirs},
        looked_at.share,
    )


def _waits(row: Row[Any]) -> bool:
    refund_is_due = row.status == "cancelled" and row.payment == "charged"
    return row.status in OPEN_STATUSES or refund_is_due


def _impact(parts: Sequence[_Waiting]) -> Impact:
    """Return the impact of these groups; an order in several is counted once."""
    scale: dict[str, float] = {}  # of each order: the number of orders that it stands for
    since: dict[str, datetime] = {}
    money: dict[str, Money] = {}
    for part in parts:
        money |= part.money
        for number, moment in part.since.items():
            scale[number] = max(1 / part.share, scale.get(number, 0))
            since[number] = min(moment, since.get(number, moment))
    oldest = min(since, key=lambda number: (since[number], number), default=None)
    return Impact(
        orders=round(sum(scale.values())),
        money=tuple(_sums(money, scale)),
        oldest=oldest,
        waiting_since=since[oldest] if oldest else None,
        estimated=any(part.share < 1 for part in parts),
    )


def _sums(money: Mapping[str, Money], scale: Mapping[str, float]) -> Iterator[Money]:
    amounts: Counter[str] = Counter()
    exact = all(scale[number] == 1 for number in money)
    for number, each in money.items():
        amounts[each.currency] += each.amount if exact else round(each.amount * scale[number])
    for currency in sorted(amounts):
        yield Money(amount=amounts[currency], currency=currency)
