"""The files of this repository, as its own rules see them."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "events",
    "tasks",
    "tidings",
    "web",
    "benchmarks",
    "docs",
    "examples",
    "celeryconfig.py",
)
TEXT = re.compile(
    r"(?:.*\.(?:py|md|toml|txt|ya?ml|html|css|js|mako|svg|cfg|ini|json)|[^.]+|\.[^.]+)"
)


@cache
def texts() -> dict[str, str]:
    """Return the text of each file under version control by its name."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in paths
        if TEXT.fullmatch(path.name) and path.is_file()
    }


def modules(*, tests: bool = True) -> Iterator[tuple[str, str]]:
    """Yield name and text of each Python file of ours."""
    roots = (*PACKAGES, "tests") if tests else PACKAGES
    for name, text in texts().items():
        if name.endswith(".py") and name.split("/")[0] in roots:
            yield name, text


def revisions() -> list[str]:
    """Return the numbers of all migrations, the first one first."""
    versions = (ROOT / "tidings/migrations/versions").glob("[0-9]*.py")
    return sorted(each.name.partition("_")[0] for each in versions)
