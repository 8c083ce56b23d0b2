"""Types of the options and arguments: the rules of `events.inputs`, and whole numbers."""

from collections.abc import Callable
from typing import Any

import click

from events import inputs


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
