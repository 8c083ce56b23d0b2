"""The house rules that no linter knows."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import HANG
from tests.tree import ROOT, modules, texts

MAX_FILE = 250
MAX_TEST_FILE = 300
MAX_BODY = 30
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


def _max_lines(name: str) -> int:
    return MAX_TEST_FILE if name.startswith("tests/") else MAX_FILE


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
        name: lines for name, text in modules() if (lines := text.count("\n")) > _max_lines(name)
    }

    assert long == {}


def test_no_function_is_longer_than_a_screen():
    long = {
        f"{name}:{function}": length
        for name, text in modules()
        for function, length in _bodies(ast.parse(text))
        if length > MAX_BODY
    }

    assert long == {}


def test_no_file_has_a_name_that_says_nothing():
    vague = [name for name, _ in modules() if Path(name).stem.strip("_") in VAGUE]

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
        f"{name}: {match.group()}"
        for name, text in texts().items()
        if (match := forbidden.search(text))
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
        timeout=HANG,
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
read = ["settings read"] if settings.settings.cache_info().currsize else []
print(*os.listdir(), *read, *filter(None, [database._database]))
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
        timeout=HANG,
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
    assert {name: bare for name, text in modules() if (bare := _unexplained(text))} == {}


def test_the_licence_is_the_one_that_the_package_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["license"] == "MIT"
    assert (
        (ROOT / "LICENSE")
        .read_text()
        .startswith("MIT License\n\nCopyright (c) 2026 Tidings contributors")
    )
