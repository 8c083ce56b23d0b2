"""The verification of the audit's hash chain: deleted, changed, inserted and cut-off lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from events.admin.audit_chain import (
    ANCHOR,
    GENESIS,
    HEADLESS,
    REDACTED,
    line_hash,
    texts_digest,
)
from events.audit_tables import AuditEntry, AuditHead
from events.orm import table_of

_AT_ONCE = 1000
_LINES = table_of(AuditEntry)
# Raised by values that Tidings did not write: SQLite takes any into any column.
_UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Mark:
    """A line and its hash, such as a person keeps them outside the database."""

    line: int
    hash: str

    def __str__(self) -> str:
        return f"{self.line}:{self.hash}"


_BEFORE_FIRST = Mark(0, GENESIS)


@dataclass
class Verification:
    """The result: the number of lines, the last one, and each fault of the chain."""

    lines: int = 0
    first: int | None = None
    last: Mark | None = None
    faults: list[str] = field(default_factory=list)


def verify(session: Session, *, expected: Mark | None = None) -> Verification:
    """Verify every line; the reads of the session must all see one moment (`snapshot`).

    `expected` is a line as an earlier verification gave it: the chain must still contain it.
    """
    found = _Chain()
    for row in _rows(session):
        found.follow(row)
    found.end(session.get(AuditHead, "audit"))
    if expected:
        found.compare(session, expected)
    return found.result


def _rows(session: Session) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        wanted = select(_LINES.c.id).where(_LINES.c.id > after).order_by(_LINES.c.id)
        lines = session.scalars(wanted.limit(_AT_ONCE)).all()
        if not lines:
            return
        yield from _page(session, lines)
        after = lines[-1]


def _page(session: Session, lines: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the rows of these lines; of one that cannot be read, its line and hash alone."""
    page = select(_LINES).order_by(_LINES.c.id)
    within = page.where(_LINES.c.id.between(lines[0], lines[-1]))
    try:
        yield from list(map(dict, session.execute(within).mappings()))
    except _UNREADABLE:
        for line in lines:
            try:
                yield dict(session.execute(page.where(_LINES.c.id == line)).mappings().one())
            except _UNREADABLE:
                found = select(_LINES.c.hash).where(_LINES.c.id == line)
                yield {"id": line, "hash": session.scalar(found)}


class _Chain:
    """The chain as far as it was followed."""

    def __init__(self) -> None:
        self.result = Verification()
        self._first: dict[str, Any] | None = None
        self._changed: dict[int, str] = {}  # the digests of texts that are not the original ones
        self._redacted: dict[int, str] = {}
        self._anchors: dict[int, str] = {}

    def follow(self, row: dict[str, Any]) -> None:
        """Compare a line with the one before it."""
        line, before = row["id"], self.result.last
        self.result.first = self.result.first or line
        try:
            self._check(line, row, before)
        except _UNREADABLE:
            self._fault(f"line {line} was changed: its values cannot be read")
        self.result.lines += 1
        self.result.last = Mark(line, row["hash"])

    def _check(self, line: int, row: dict[str, Any], before: Mark | None) -> None:
        if before is not None and line != before.line + 1:
            self._fault(_missing(before.line + 1, line - 1))
        elif before is not None and row["hash"] != line_hash(before.hash, row):
            self._fault(_broken(before, row))
        if (digest := texts_digest(row["salt"], row)) != row["digest"]:
            self._changed[line] = digest
        self._note(row["action"], row["parameters"])
        if before is None:
            self._first = row

    def _note(self, action: str, parameters: Mapping[str, Any]) -> None:
        if action == "erase":
            redacted = parameters.get(REDACTED, {})
            self._redacted |= {int(line): digest for line, digest in redacted.items()}
        if action == "prune" and (anchor := parameters.get(ANCHOR)):
            self._anchors[anchor["id"]] = anchor["hash"]

    def end(self, head: AuditHead | None) -> None:
        """Check what only the whole chain tells: its two ends, and the texts that were erased."""
        for line, digest in self._changed.items():
            if self._redacted.get(line) != digest:
                self._fault(f"the texts of line {line} were changed")
        if self._first is not None:
            self._check_beginning(self._first)
        self._check_end(self.result.last or _BEFORE_FIRST, head)

    def _check_end(self, last: Mark, head: AuditHead | None) -> None:
        if head is None and last != _BEFORE_FIRST:
            self._fault("the end of the chain is not known: its head is missing")
        elif head is not None and last.line < head.last:
            self._fault(_missing(last.line + 1, head.last))
        elif head is not None and last != Mark(head.last, head.hash):
            self._fault(f"the head of the chain does not fit its last line, {last.line}")

    def _check_beginning(self, first: dict[str, Any]) -> None:
        number = first["id"]
        before = GENESIS if number == 1 else self._anchors.get(number - 1)
        if before is None:
            self._fault(_missing(1, number - 1) + "; no prune removed them")
        elif first["hash"] != line_hash(before, first):
            self._fault(f"line {number}, the first one, was changed")

    def compare(self, session: Session, expected: Mark) -> None:
        """Check that a line that was noted elsewhere is still there."""
        known = session.scalar(select(_LINES.c.hash).where(_LINES.c.id == expected.line))
        known = known or self._anchors.get(expected.line)
        if known is None:
            self._fault(f"line {expected.line}, which is expected, is not in the audit")
        elif known != expected.hash:
            self._fault(f"line {expected.line} has another hash than the expected one")

    def _fault(self, text: str) -> None:
        self.result.faults.append(text)


def _missing(first: int, last: int) -> str:
    return f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"


def _broken(before: Mark, row: dict[str, Any]) -> str:
    if not row["hash"]:
        return f"line {row['id']} was not written by Tidings"
    if row["hash"] == line_hash(HEADLESS, row):
        return f"before line {row['id']} the head of the chain was gone; lines may be missing there"
    return f"line {row['id']} was changed"
