"""The option of a search, and the line that says what part was searched."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from events import inputs
from events.search.query import Query
from tidings.cli.encoding import echo

F = TypeVar("F", bound=Callable[..., Any])


class QueryText(click.ParamType[Query]):
    """A query, whose mistakes are told with their position."""

    name = "query"

    def __init__(self, rule: Callable[[str], Query]) -> None:
        self.rule = rule

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Query:
        """Return the query, or fail with what to write."""
        if isinstance(value, Query):
            return value
        try:
            return self.rule(str(value))
        except ValueError as error:
            self.fail(inputs.escaped(str(error)), param, ctx)


def query_option(rule: Callable[[str], Query]) -> Callable[[F], F]:
    """Add `--query`."""
    return click.option(
        "-q", "--query", type=QueryText(rule), default="", metavar="QUERY", help="Search by this."
    )


def tell_part(note: str, further: str) -> None:
    """Say on the standard error that a part was searched only, and how to go on."""
    if note:
        echo(f"{note}; to search those: {further}", err=True)
