"""The house rules that no linter knows."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("events", "tasks", "web", "benchmarks")
LONGEST_FILE = 260
LONGEST_TEST_FILE = 300
LONGEST_BODY = 30
# A file that may be longer, with the reason.
LONG_FILES: dict[str, str] = {}
# A function whose body may be longer, with the reason.
LONG_BODIES: dict[str, str] = {}
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".yml",
    ".yaml",
    ".html",
    ".css",
    ".js",
    ".mako",
    ".svg",
    ".cfg",
    ".ini",
    ".json",
    "",
}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _texts() -> Iterator[tuple[str, str]]:
    for path in _tracked():
        if path.suffix in TEXT:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def _modules() -> Iterator[tuple[str, str]]:
    for name, text in _texts():
        if name.endswith(".py") and name.split("/")[0] in (
            *PACKAGES,
            "tests",
            "docs",
            "celeryconfig.py",
        ):
            yield name, text


def _longest(name: str) -> int:
    return LONGEST_TEST_FILE if name.startswith("tests/") else LONGEST_FILE


def _bodies(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield (
                node.name,
                node.body[-1].end_lineno - first[0].lineno + 1
                if first and node.body[-1].end_lineno
                else 0,
            )


def test_no_file_is_longer_than_one_can_keep_in_mind():
    long = {
        name: lines
        for name, text in _modules()
        if (lines := text.count("\n")) > _longest(name) and name not in LONG_FILES
    }

    assert long == {}


def test_no_function_is_longer_than_a_screen():
    long = {
        f"{name}:{function}": length
        for name, text in _modules()
        for function, length in _bodies(ast.parse(text))
        if length > LONGEST_BODY and f"{name}:{function}" not in LONG_BODIES
    }

    assert long == {}


def test_an_excuse_for_length_goes_when_it_is_not_needed():
    lengths = {name: text.count("\n") for name, text in _modules()}
    bodies = {
        f"{name}:{function}": length
        for name, text in _modules()
        for function, length in _bodies(ast.parse(text))
    }

    assert [name for name in LONG_FILES if lengths.get(name, 0) <= _longest(name)] == []
    assert [name for name in LONG_BODIES if bodies.get(name, 0) <= LONGEST_BODY] == []


def test_no_file_has_a_name_that_says_nothing():
    vague = [name for name, _ in _modules() if Path(name).stem.strip("_") in VAGUE]

    assert vague == []


# Letters in brackets, so that this file does not find itself.
_UNFINISHED = re.compile(r"\b([T]ODO|[F]IXME|[X]XX|[N]otImplementedError)\b|[L]orem ipsum")
_MACHINE = re.compile(r"/(?:home|Users|root|work|tmp)/[a-z]", re.IGNORECASE)
_REGISTRY = re.compile(
    r"python[h]osted|pypi[.]org|npmjs[.]org|deb[.]debian[.]org|index-url\s*[=:]\s*http",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    ("forbidden", "what"),
    [
        (_UNFINISHED, "something left to do"),
        (_MACHINE, "a path of somebody's machine"),
        (_REGISTRY, "the address of a package registry"),
    ],
)
def test_nothing_in_the_repository_holds(forbidden: re.Pattern[str], what: str):
    found = [
        f"{name}: {match.group()}" for name, text in _texts() if (match := forbidden.search(text))
    ]

    assert found == [], what


def test_the_web_starts_without_loading_a_broker():
    program = (
        "import sys, web; web.create_app(); print(*{'celery', 'kombu', 'redis'} & set(sys.modules))"
    )

    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


_IMPORT_ALL = """
import importlib, os, pkgutil, socket, sys

def refuse(*_):
    sys.exit("something connects at import")

socket.socket.connect = refuse
for package in ("events", "tasks", "web", "tidings"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith((".__main__", "tasks.celery", "migrations.env")):
            importlib.import_module(module.name)
from events import database, settings
print(*os.listdir(), *(["settings read"] if settings.settings.cache_info().currsize else []), *filter(None, [database._database]))
"""


def test_importing_everything_connects_to_nothing_creates_nothing_and_reads_no_settings(
    tmp_path: Path,
):
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


def _unexplained(text: str) -> set[str]:
    """The rules that a file makes an exception to and never says why."""
    exceptions = re.findall(r"# [n]oqa(?:: ([A-Z]+[0-9]+))?(.*)", text)
    return {rule for rule, _ in exceptions} - {
        rule for rule, reason in exceptions if rule and len(reason.strip()) > 5
    }


def test_every_exception_to_a_lint_rule_names_the_rule_and_its_reason():
    assert {name: bare for name, text in _modules() if (bare := _unexplained(text))} == {}


def test_the_licence_is_the_one_that_the_package_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["license"] == "MIT"
    assert (
        (ROOT / "LICENSE")
        .read_text()
        .startswith("MIT License\n\nCopyright (c) 2026 Tidings contributors")
    )
