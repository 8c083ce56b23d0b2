"""The result of a benchmark: rows of figures, each with its spread, as a table and as JSON."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Row:
    """One figure, measured once in each round, and the ratios to the baseline of the same round."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    guarantee: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the row with minimum, median and maximum of values and ratios."""
        found: dict[str, Any] = {"name": self.name, "unit": self.unit}
        if self.guarantee:
            found["guarantee"] = self.guarantee
        if self.values:
            found["values"] = [_rounded(each) for each in self.values]
            found |= {"spread": spread(self.values)}
        if self.ratios:
            found["ratio"] = spread(self.ratios)
        if self.note:
            found["note"] = self.note
        return found


@dataclass
class Result:
    """The rows of one benchmark, and notes on reading them."""

    name: str
    title: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        rows = [row.as_json() for row in self.rows]
        return {"title": self.title, "notes": self.notes, "rows": rows}

    def print(self) -> None:
        """Print the rows as a table."""
        print(f"\n{self.name}: {self.title}", flush=True)
        if not self.rows:
            return
        lines = [_cells(row) for row in self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        for line in lines:
            padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
            print("  " + "  ".join(padded).rstrip())
        for note in self.notes:
            print(f"  ({note})", flush=True)


def _cells(row: Row) -> list[str]:
    value = f"{three(row.values, width=8, between=' ')} {row.unit}" if row.values else ""
    ratio = f"{three(row.ratios, width=8, between=' ')} times" if row.ratios else ""
    return [row.name, row.guarantee, value, ratio, row.note]


def three(values: Sequence[float], *, width: int = 0, between: str = " / ") -> str:
    """Write minimum, median and maximum; of one value that value."""
    found = [f"{each:>{width},}" for each in spread(values)]
    return between.join(found) if len(values) > 1 else found[1]


def spread(values: Sequence[float]) -> list[float]:
    """Return minimum, median and maximum."""
    three = min(values), statistics.median(values), max(values)
    return [_rounded(each) for each in three]


def _rounded(value: float) -> float:
    """Keep three digits or so: more would be noise."""
    if abs(value) >= 100:
        return round(value)
    return round(value, 1 if abs(value) >= 10 else 2)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def progress(text: str) -> None:
    """Show on a terminal, in one line that is overwritten, the step that runs now."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="\r", file=sys.stderr, flush=True)
