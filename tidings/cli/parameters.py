"""Types of the options and arguments: the rules of `events.inputs`, and whole numbers."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from events import inputs, moments

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class Rule(click.ParamType[str]):
    """A parameter that is a text, checked and returned by a rule."""

    name = "text"

    def __init__(self, rule: Callable[[str], str]) -> None:
        self.rule = rule

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text by its rule, or fail with the rule's own words."""
        try:
            return self.rule(str(value))
        except ValueError as error:
            self.fail(inputs.escaped(str(error)), param, ctx)


class WholeNumber(click.IntRange):
    """A number in ASCII digits within a range: `int` takes `1_0` and full-width digits too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or fail with the words that a form uses."""
        if isinstance(value, str):
            try:
                value = inputs.integer(value)
            except ValueError as error:
                self.fail(inputs.escaped(str(error)), param, ctx)
        return super().convert(value, param, ctx)


class UtcTime(click.ParamType[datetime]):
    """A date or a time in UTC; one that `ends` a range includes the day of a date."""

    name = "time"

    def __init__(self, *, ends: bool = False) -> None:
        self.rule = moments.last_moment if ends else moments.moment

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the moment, or fail with what to write."""
        try:
            return self.rule(str(value))
        except ValueError as error:
            self.fail(inputs.escaped(str(error)), param, ctx)


class Number(click.FloatRange):
    """A number in ASCII digits with a point within a range, for seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or fail with what to write."""
        if isinstance(value, str) and not _DECIMAL.fullmatch(value):
            self.fail("write a number in digits, such as 1.5", param, ctx)
        return super().convert(value, param, ctx)
