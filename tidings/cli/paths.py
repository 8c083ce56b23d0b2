"""Paths as arguments of commands."""

import os
from pathlib import Path
from typing import Any

import click


class _LocalPath(click.Path):
    """A path that this locale can express: an ASCII locale has no other paths for Python."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            self.fail("this locale cannot express the path; set PYTHONUTF8=1", param, ctx)
        return super().convert(value, param, ctx)


class Folder(_LocalPath):
    """A folder."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)


class File(_LocalPath):
    """A file, which need not exist."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)
