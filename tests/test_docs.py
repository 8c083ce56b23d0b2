"""The documents tell the truth: their code runs, their commands exist, their links and the tests they name are there."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
TUTORIAL = (ROOT / "docs/tutorial.md").read_text()
BIN = Path(sys.executable).parent


def _code(path: str) -> str:
    """The block of the tutorial that is to be put into `path`."""
    [block] = re.findall(rf"<!-- {re.escape(path)} -->\n```python\n(.*?)```", TUTORIAL, re.DOTALL)
    return str(block)


def test_the_subscriber_of_the_tutorial_works_as_it_is_written(tmp_path: Path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/loyalty.py").write_text(_code("tasks/loyalty.py"))
    (tmp_path / "test_loyalty.py").write_text(_code("tests/tasks/test_loyalty.py"))
    (tmp_path / "dropped_in.py").write_text(f"import tasks\n\ntasks.__path__.append({str(tmp_path / 'tasks')!r})\n")
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "dropped_in", "-p", "tests.conftest", "-q"]

    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_loyalty.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "2 passed" in run.stdout, run.stdout + run.stderr


def _commands() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:console|bash|sh)?\n(.*?)```", document.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.removeprefix("$ ").split(" #")[0].strip()
                if command:
                    yield document.name, command


def _unique(program: str) -> list[str]:
    named = {command for _, command in _commands() if command.split()[0] == program}
    return sorted({re.sub(r"-Q (\w+) -n \1@%h", "-Q payment -n payment@%h", command) for command in named})


@pytest.mark.parametrize("command", [*_unique("tidings"), *_unique("celery")])
def test_each_command_of_the_documents_exists_with_its_options(command: str):
    program, *arguments = shlex.split(command)
    options = [word.split("=")[0] for word in arguments if word.startswith("--")]

    run = subprocess.run([str(BIN / program), *arguments, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert run.returncode == 0, run.stderr
    assert [option for option in options if option not in run.stdout] == []


def test_each_target_of_make_in_the_documents_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {(document, command.split()[1]) for document, command in _commands() if command.startswith("make ")}

    assert {name for name in named if name[1] not in targets} == set()


def test_each_file_that_a_document_links_to_is_there():
    links = [(document, link) for document in DOCUMENTS for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())]

    assert [f"{document.name}: {link}" for document, link in links if "://" not in link and not (document.parent / link).exists()] == []


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_each_heading_that_a_document_links_to_is_there():
    links = [
        (document, document.parent / link if link else document, anchor)
        for document in DOCUMENTS
        for link, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)]+)\)", document.read_text())
    ]

    assert [f"{document.name}: {target.name}#{anchor}" for document, target, anchor in links if anchor not in _anchors(target)] == []


def test_each_test_that_a_document_names_exists():
    missing = []
    for document in DOCUMENTS:
        for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", document.read_text()):
            path = ROOT / file
            if not path.exists() or not re.search(rf"^\s*(?:async )?def {name}\(", path.read_text(), re.MULTILINE):
                missing.append(f"{document.name}: {file}::{name}")

    assert missing == []


def test_the_readme_can_be_read_in_one_go():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 135
