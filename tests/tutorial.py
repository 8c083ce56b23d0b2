"""The tutorial as a newcomer follows it, in a copy of the checkout: `python -m tests.tutorial`.

The files and the commands are those that docs/tutorial.md prints.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tree import ROOT

PAGE = (ROOT / "docs/tutorial.md").read_text()
_INSTALLED = shutil.ignore_patterns(".installed")  # says that `make setup` has run


def files() -> dict[str, str]:
    """Return the files to write, by their paths."""
    return dict(re.findall(r"<!-- (\S+/\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


def block(name: str) -> str:
    """Return the block of code with this name."""
    [code] = re.findall(rf"<!-- {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def commands() -> list[str]:
    """Return the commands to type."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    return [line.removeprefix("$ ") for lines in blocks for line in lines.splitlines()]


def announced() -> str:
    """Return the one test that fails until the service is in docker-compose.yml."""
    [test] = set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE))
    return str(test)


def copy_checkout(folder: Path) -> None:
    """Copy the files under version control, as they are now, into a repository of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def share_environment(folder: Path) -> None:
    """Link the packages of the checkout into the copy, which need not be installed once more.

    `make setup` in the copy compares them with the lock file and installs the copy itself.
    """
    there, here = ROOT / ".venv", folder / ".venv"
    shutil.copytree(there, here, copy_function=_link, symlinks=True, ignore=_INSTALLED)
    for script in filter(Path.is_file, (here / "bin").iterdir()):
        if not script.is_symlink() and bytes(there) in (content := script.read_bytes()):
            mode = script.stat().st_mode
            script.unlink()  # a write would go through the link
            script.write_bytes(content.replace(bytes(there), bytes(here)))
            script.chmod(mode)
    for cache in (".mypy_cache", ".ruff_cache"):
        if (ROOT / cache).is_dir():
            shutil.copytree(ROOT / cache, folder / cache)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def write_files(folder: Path) -> None:
    """Write the files of the tutorial."""
    for name, text in files().items():
        (folder / name).write_text(text)


def main() -> None:
    """Follow the tutorial up to `make up`, then check the copy and run the suite in it."""
    typed = commands()
    test = announced()
    options = f'OPTIONS="--deselect {test} {" ".join(sys.argv[1:])}"'
    script = [
        *typed[: typed.index("make up")],
        "git add --all",  # the rules of the repository hold for the new files too
        "make check",
        f"if pytest -q -p no:cacheprovider {test}; then exit 1; fi",
        f"make test {options}",
    ]
    with tempfile.TemporaryDirectory(prefix="tidings-tutorial-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL, which does not run as root, enters it
        copy_checkout(folder)
        share_environment(folder)
        write_files(folder)
        program = ["bash", "-e", "-x", "-c", "\n".join(script)]
        environment = os.environ | {"PYTHON": sys.executable}
        run = subprocess.run(program, cwd=folder, env=environment, check=False)
    sys.exit(run.returncode)


if __name__ == "__main__":
    main()
