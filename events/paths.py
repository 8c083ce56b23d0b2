"""Paths of files and folders in settings and commands: one rule for all of them."""

import os
import re
from contextlib import suppress
from pathlib import Path

from events.errors import BadValue

_OF_A_SHELL = re.compile(r"([~$])|.*(\$\{)", re.DOTALL)


def check_path(path: str) -> str:
    """Return the path of a file or folder. Raises `BadValue`.

    Only a shell expands `~` and variables, and `~` not in an address or after `--option=`: a folder
    of that name would be made.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise BadValue("names a path that this locale cannot express", "set PYTHONUTF8=1") from None
    if found := _OF_A_SHELL.match(path):
        raise BadValue(
            f"names a path with {found[1] or found[2]}, which only a shell expands",
            "write the whole path, such as /srv/shop/tidings; ./~ is a folder of that name",
        )
    return path


def check_file_path(path: str) -> str:
    """Return the path at which a file is or can be made. Raises `BadValue`."""
    found, reason = Path(check_path(path)), ""
    # Where a folder may not be read, opening the file says so.
    with suppress(OSError):
        if path.endswith("/") or found.is_dir():
            reason = "names a folder instead of a file"
        elif found.exists() and not found.is_file():
            reason = "names something that is no file"
        elif any(each.exists() and not each.is_dir() for each in found.parents):
            reason = "names a file within something that is no folder"
    if reason:
        raise BadValue(reason, "write the path of a file, such as var/tidings.sqlite")
    return path
