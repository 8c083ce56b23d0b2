"""Paths as arguments of commands."""

from pathlib import Path
from typing import Any

import click

from events.errors import BadValue
from events.paths import check_path


class _LocalPath(click.Path):
    """A path by the rule of the settings, which an ASCII locale can express too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        try:
            check_path(str(value))
        except BadValue as error:
            self.fail(f"{value!r} {error.reason}; {error.fix}", param, ctx)
        return super().convert(value, param, ctx)


class Folder(_LocalPath):
    """A folder."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)


class File(_LocalPath):
    """A file, which need not exist."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)
