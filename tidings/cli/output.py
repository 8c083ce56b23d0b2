"""What commands print: a table for people, JSON for programs."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text

from events import clock

F = TypeVar("F", bound=Callable[..., Any])
WIDE = 200  # columns of a table that no terminal limits


def json_option(command: F) -> F:
    """`--json`: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        command
    )


def print_json(value: Any) -> None:
    """Print `value` as JSON; moments and ids become text."""
    click.echo(json.dumps(to_jsonable_python(value), indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under their columns, or `empty` when there are none. No cell is read as markup: customers write some."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    if not table.row_count:
        click.echo(empty)
        return
    console().print(table)


def console() -> Console:
    """Where to print: as wide as the terminal, and wide enough for a whole row anywhere else."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDE)


def counted(count: int, what: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def cell(value: object) -> str:
    """A value in words."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return span(value)
        case _:
            return " ".join(str(value).split())


def span(seconds: float) -> str:
    """A span of time with as many digits as one wants to read."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def ago(moment: datetime | None) -> str:
    """How long ago something was."""
    return (
        "-" if moment is None else f"{span(max(0.0, (clock.now() - moment).total_seconds()))} ago"
    )
