"""The audit: who did what to which delivery, subscription or order, when, why.

Lines are only appended, in a hash chain (`events.admin.audit_chain`). An act is one line. If it is
done in slices, each further slice appends an entry that is `part_of` the line, with the count so
far, in the transaction of the slice: so an act that is killed has the true count, and is listed as
not finished.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from events import clock, context
from events.admin import audit_chain
from events.audit_tables import AuditEntry
from events.errors import ReasonMissing

_LOGIN_ROLE = "login_role"  # kept with the parameters, which the hash of a line covers


class Role(StrEnum):
    """The kind of person whose act it is. Customers' acts are listed apart."""

    OPERATOR = "operator"
    CUSTOMER = "customer"  # without a login


class By(TypedDict):
    """The person whose act it is."""

    who: str
    role: Role


def by(login: str | None) -> By:
    """Return the operator with this login; without one it is a customer, whose name is unknown."""
    if login is None:
        return By(who="customer", role=Role.CUSTOMER)
    return By(who=login, role=Role.OPERATOR)


def record(
    session: Session,
    *,
    who: str,
    action: str,
    target: str,
    why: str,
    role: Role = Role.OPERATOR,
    parameters: Mapping[str, Any] | None = None,
) -> int:
    """Write one line in the caller's transaction, after its other changes; return the line's id.

    `parameters` are the values of the action, as JSON. Raises `ReasonMissing` for an operator's act
    without a reason.
    """
    if role is Role.OPERATOR and not why.strip():
        raise ReasonMissing(action)
    line = _line(who, action, target, why, parameters or {}) | {"role": role}
    return audit_chain.append(session, line)


def _line(
    who: str, action: str, target: str, why: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    line = {"at": clock.now(), "who": who, "action": action, "target": target[:300], "why": why}
    login = {_LOGIN_ROLE: role} if (role := context.current().role) else {}
    line |= {"role": Role.OPERATOR, "parameters": {**parameters, **login}}
    return line | {"part_of": None, "count": None, "ends": True}


@dataclass
class Act:
    """An operator's act that is done in slices, each recorded in the slice's own transaction.

    Raises `ReasonMissing`.
    """

    who: str
    action: str
    target: str
    why: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    count: int = 0
    line: int | None = None  # its id, once a slice is recorded
    ended: bool = False

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise ReasonMissing(self.action)

    def record(self, session: Session, rows: int, *, ends: bool, **found: Any) -> None:
        """Record a slice that changed so many rows; `found` are parameters known only now."""
        self.count += rows
        self.ended = ends
        progress = {"count": self.count, "ends": ends, "part_of": self.line}
        if self.line is None:
            line = _line(self.who, self.action, self.target, self.why, {**self.parameters, **found})
            self.line = audit_chain.append(session, line | progress)
        else:
            line = _line(self.who, self.action, "", "", found)
            audit_chain.append(session, line | progress)


@dataclass(frozen=True)
class AuditLine:
    """One act. `count` is the number of rows that a bulk act has changed so far.

    `login_role` is what the login was allowed, empty for a command or a customer.
    """

    id: int
    at: datetime
    role: str
    who: str
    login_role: str
    action: str
    target: str
    why: str
    parameters: dict[str, Any]
    count: int | None
    finished: bool


@dataclass(frozen=True)
class Filters:
    """A selection of lines: those that match all that is given.

    `who` and `target` match a part of the text, in small or capital letters; `since` is the first
    moment and `until` the first one after.
    """

    who: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    role: Role = Role.OPERATOR


def listed(
    session: Session,
    *,
    filters: Filters | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[AuditLine]:
    """Return the latest lines, newest first; `before` is the last id of the page before."""
    wanted = select(AuditEntry).where(
        AuditEntry.part_of.is_(None), *_conditions(filters or Filters())
    )
    if before is not None:
        wanted = wanted.where(AuditEntry.id < before)
    rows = session.scalars(wanted.order_by(AuditEntry.id.desc()).limit(limit)).all()
    latest = _latest_parts(session, rows)
    return [_view(row, latest.get(row.id, row)) for row in rows]


def actions(session: Session) -> Sequence[str]:
    """Return the actions that the audit contains, in alphabetical order."""
    return session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)).all()


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    found = [AuditEntry.role == filters.role]
    for column, part in ((AuditEntry.who, filters.who), (AuditEntry.target, filters.target)):
        if part:
            found.append(column.icontains(part, autoescape=True))
    if filters.action:
        found.append(AuditEntry.action == filters.action)
    if filters.since:
        found.append(AuditEntry.at >= filters.since)
    if filters.until:
        found.append(AuditEntry.at < filters.until)
    return found


def _latest_parts(session: Session, rows: Sequence[AuditEntry]) -> dict[int, AuditEntry]:
    begun = [row.id for row in rows if not row.ends]
    last = select(func.max(AuditEntry.id)).where(AuditEntry.part_of.in_(begun))
    parts = session.scalars(
        select(AuditEntry).where(AuditEntry.id.in_(last.group_by(AuditEntry.part_of)))
    )
    return {part.part_of: part for part in parts if part.part_of} if begun else {}


def _view(row: AuditEntry, latest: AuditEntry) -> AuditLine:
    shown = {
        name: value
        for name, value in row.parameters.items()
        if name not in (audit_chain.REDACTED, audit_chain.ANCHOR, _LOGIN_ROLE)
    }
    return AuditLine(
        id=row.id,
        at=row.at,
        role=row.role,
        who=row.who,
        login_role=row.parameters.get(_LOGIN_ROLE, ""),
        action=row.action,
        target=row.target,
        why=row.why,
        parameters=shown,
        count=latest.count,
        finished=latest.ends,
    )
