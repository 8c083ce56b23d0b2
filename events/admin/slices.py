"""Bulk acts in slices: rows are found without a write lock, and each slice is a transaction.

So nobody waits long for the write lock or for a row, and an act that is killed has done whole
slices, which its line of the audit counts.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from events.admin.audit import Act
from events.database import reading, transaction

MAX_ROWS = 1000  # of one slice

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Stage:
    """One kind of rows of an act.

    `find` returns so many rows, or their keys, that are still to be changed. `change` changes them,
    unless they were changed meanwhile, and returns how many it did. What it notes in the dictionary
    that it is given becomes parameters of the act in the audit.
    """

    find: Callable[[Session, int], Sequence[Any]]
    change: Callable[[Session, Sequence[Any], dict[str, Any]], int]

    def counted(self, counts: Counter[str], name: str) -> "Stage":
        """Return the stage with its rows counted under `name`."""

        def change(session: Session, rows: Sequence[Any], noted: dict[str, Any]) -> int:
            done = self.change(session, rows, noted)
            counts[name] += done
            return done

        return Stage(self.find, change)


def carry_out(
    act: Act, stages: Sequence[Stage], *, progress: Progress | None = None, at_once: int = MAX_ROWS
) -> int:
    """Carry an act out, stage after stage; return the number of rows that were changed.

    It is recorded with its first slice, so not at all if nothing was found. `progress` is called
    with the number of rows of each slice. A stage is left when the same rows are found again,
    because others have locked them.
    """
    for stage in stages:
        before: Sequence[Any] = []
        more = True
        while more and (rows := _find(stage, at_once + 1)) != before:
            before, more = rows, len(rows) > at_once
            is_last = stage is stages[-1] and not more
            done = _run(act, stage, rows[:at_once], is_last=is_last)
            if progress is not None:
                progress(done)
    if act.line is not None and not act.ended:
        with transaction() as session:
            act.record(session, 0, ends=True)
    return act.count


def _find(stage: Stage, limit: int) -> Sequence[Any]:
    with reading() as session:
        return stage.find(session, limit)


def _run(act: Act, stage: Stage, rows: Sequence[Any], *, is_last: bool) -> int:
    with transaction() as session:
        noted: dict[str, Any] = {}
        done = stage.change(session, rows, noted) if rows else 0
        if done or (is_last and act.line is not None):
            act.record(session, done, ends=is_last, **noted)
    return done
