"""Output of the commands: tables for people, JSON for programs."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import click
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from events import clock
from events.inputs import escaped
from tasks.durations import duration_text
from tidings.cli.encoding import echo, is_unicode
from tidings.cli.exit_codes import NOTHING_FOUND
from tidings.priority import give_way

F = TypeVar("F", bound=Callable[..., Any])
_WIDTH = 200  # columns of a table that is not printed to a terminal


def json_option(command: F) -> F:
    """Add `--json`: output for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def list_by_default(
    context: click.Context, command: click.Command, *, as_json: bool, **options: Any
) -> None:
    """Run `command` of a group for which none was given."""
    if context.invoked_subcommand is None:
        context.invoke(command, as_json=as_json, **options)
    elif as_json:
        raise click.UsageError(f"give --json after {context.invoked_subcommand!r}")


def print_json(value: Any) -> None:
    """Print `value` as JSON; datetimes and UUIDs become strings."""
    plain = not is_unicode()
    echo(json.dumps(to_jsonable_python(value), indent=2, ensure_ascii=plain))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under their columns, or `empty` if there are none.

    No cell is read as markup: some of the text comes from customers.
    """
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    if not table.row_count:
        echo(empty)
        return
    console().print(table)


def console() -> Console:
    """Return a console as wide as the terminal, or wide enough for whole rows in a file."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH)


def progress_bars(description: str = "{task.description}") -> Progress:
    """Return progress bars that show a description, a count and the elapsed time."""
    return Progress(
        TextColumn(description),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console(),
    )


@contextmanager
def progress_bar(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show the progress of a bulk act, only on a terminal; yield a function that adds to it.

    From here on the services go before this process: orders wait for the processor, not for locks.
    """
    give_way()
    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=terminal, disable=not terminal.is_terminal
    ) as progress:
        task = progress.add_task(description, total=total)
        yield lambda rows: progress.advance(task, rows)


def counted(count: int, noun: str) -> str:
    """Return `1 problem`, `2 problems`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def cell(value: object) -> str:
    """Return the text of a table's cell; a float is a duration in seconds."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            # As on the pages, and as every option takes it, whatever the zone of the terminal.
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return duration_text(value)
        case _:
            return escaped(" ".join(str(value).split()))


def nothing_found(message: str) -> NoReturn:
    """Say that there was nothing to act on, and end with an exit code of its own."""
    click.echo(message, err=True)
    raise click.exceptions.Exit(NOTHING_FOUND)


def ago(moment: datetime | None) -> str:
    """Return the time since `moment`, such as `5 min ago`."""
    if moment is None:
        return "-"
    return f"{duration_text(max(0.0, (clock.now() - moment).total_seconds()))} ago"
