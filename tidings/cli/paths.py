"""Paths as arguments of commands."""

import os
from pathlib import Path
from typing import Any

import click


class Folder(click.Path):
    """A folder that this locale can express: an ASCII locale has no other paths for Python."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            self.fail("this locale cannot express the path; set PYTHONUTF8=1", param, ctx)
        return super().convert(value, param, ctx)
