"""Output of the bus's commands: lines for people, JSON for programs, safe on any terminal."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
from pydantic_core import to_jsonable_python

from events.inputs import escaped

PROBLEMS_FOUND = 3  # the exit code of a command that examines

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add `--json`: output for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(value: Any) -> None:
    """Print `value` as JSON in ASCII."""
    click.echo(json.dumps(to_jsonable_python(value), indent=2))


def print_columns(names: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under the names of their columns, or `empty` if there are none."""
    cells = [[escaped(" ".join(str(value).split())) for value in row] for row in rows]
    if not cells:
        click.echo(empty)
        return
    table = [list(names), *cells]
    widths = [max(len(row[index]) for row in table) for index in range(len(names))]
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
