"""Bulk acts in slices: rows are found without a write lock, and each slice is a transaction.

A slice has as many rows as are changed in the time of `events.slice_size.TARGET`, so nobody waits
long for the write lock or for a row. An act that is killed has done whole slices, which its line of
the audit counts.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from events.admin.audit import Act
from events.database import reading, transaction
from events.slice_size import SliceSize

MAX_ROWS = 1000  # of one slice, and found at once

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Stage:
    """One kind of rows of an act.

    `find` returns so many rows, or their keys, that are still to be changed. `change` changes them,
    unless they were changed meanwhile, and returns how many it did. What it notes in the dictionary
    that it is given becomes parameters of the act in the audit. Rows that are not `divisible` are
    changed in one slice.
    """

    find: Callable[[Session, int], Sequence[Any]]
    change: Callable[[Session, Sequence[Any], dict[str, Any]], int]
    divisible: bool = True

    def counted(self, counts: Counter[str], name: str) -> "Stage":
        """Return the stage with its rows counted under `name`."""

        def change(session: Session, rows: Sequence[Any], noted: dict[str, Any]) -> int:
            done = self.change(session, rows, noted)
            counts[name] += done
            return done

        return replace(self, change=change)


def carry_out(
    act: Act, stages: Sequence[Stage], *, progress: Progress | None = None, at_once: int = MAX_ROWS
) -> int:
    """Carry an act out, stage after stage; return the number of rows that were changed.

    It is recorded with its first slice, so not at all if nothing was found. `progress` is called
    with the number of rows of each slice. A stage is left when the same rows are found again,
    because others have locked them.
    """
    size = SliceSize(at_once)
    for stage in stages:
        before: Sequence[Any] = []
        more = True
        while more and (rows := _find(stage, at_once + 1)) != before:
            before, more = rows, len(rows) > at_once
            ends = stage is stages[-1] and not more
            for done in _slices(act, stage, rows[:at_once], size, ends=ends):
                if progress is not None:
                    progress(done)
    if act.line is not None and not act.ended:
        with transaction() as session:
            act.record(session, 0, ends=True)
    return act.count


def _find(stage: Stage, limit: int) -> Sequence[Any]:
    with reading() as session:
        return stage.find(session, limit)


def _slices(
    act: Act, stage: Stage, rows: Sequence[Any], size: SliceSize, *, ends: bool
) -> Iterator[int]:
    """Change the rows slice by slice; yield the number of each."""
    while rows:
        count = size.rows if stage.divisible else len(rows)
        now, rows = rows[:count], rows[count:]
        yield _run(act, stage, now, size, is_last=ends and not rows)


def _run(act: Act, stage: Stage, rows: Sequence[Any], size: SliceSize, *, is_last: bool) -> int:
    with transaction() as session:
        began = size.begin(session)
        noted: dict[str, Any] = {}
        done = stage.change(session, rows, noted)
        if done or (is_last and act.line is not None):
            act.record(session, done, ends=is_last, **noted)
    if stage.divisible:
        size.end(len(rows), began)
    return done
